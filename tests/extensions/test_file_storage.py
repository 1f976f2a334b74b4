"""Storage on disk for exporters: alone, in a collector that is killed, and across a reload."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from processes import Collector, command
from pydantic import ValidationError
from serving import caller, reached, receiving

from heliograph.errors import ConfigError
from heliograph.extensions.file_storage import MIB, Config, Extension
from heliograph.pipeline.component import Edge, Kind
from heliograph.testing import Sink, settings, traces

Make = Callable[..., Extension]


@pytest.fixture
async def storage() -> AsyncIterator[Make]:
    edge = Edge(asyncio.get_running_loop(), logging.getLogger("test"))
    made: list[Extension] = []

    def make(directory: Path, **config: Any) -> Extension:
        given = settings("file_storage", Kind.EXTENSION, edge=edge)
        made.append(Extension(Config(directory=directory, **config), given))
        return made[-1]

    yield make
    for extension in made:
        await extension.stop()
    edge.close()


def problems(**config: Any) -> list[str]:
    return [str(problem) for problem in Config(**config).check()]


def test_takes_what_the_go_collector_takes() -> None:
    config = Config.model_validate(
        {
            "directory": "/var/lib/otelcol/mydir",
            "timeout": "2s",
            "max_size": 268435456,
            "fsync": True,
            "create_directory": True,
            "directory_permissions": "0700",
            "recreate": True,
            "compaction": {
                "on_start": True,
                "on_rebound": True,
                "directory": "/tmp",
                "rebound_needed_threshold_mib": 128,
                "rebound_trigger_threshold_mib": 16,
                "max_transaction_size": 2048,
                "check_interval": "5s",
                "cleanup_on_start": True,
            },
        }
    )
    assert list(config.check()) == []
    assert (config.journal.max_bytes, config.journal.fsync) == (268435456, 0.0)
    assert Config().directory == Path("/var/lib/otelcol/file_storage")
    assert (Config().timeout, Config().journal.fsync, Config().journal.max_bytes) == (1, 0.2, 2**31)
    assert Config(sync_interval="0s").journal.fsync is None


def test_says_what_does_not_fit_together() -> None:
    assert problems(max_size=1, max_size_mib=3)[0].startswith("max_size: stands beside max_size_")
    assert problems(max_size=1000)[0].startswith("max_size: is 1000, below 1048576")
    assert problems(fsync=True, sync_interval="1s")[0].startswith("sync_interval: says nothing")
    for wrong in ("0999", "x", "7777"):
        assert "no permissions in octal" in problems(directory_permissions=wrong)[0]
    with pytest.raises(ValidationError):
        Config(max_size_mib=0)


async def test_the_directory_is_made_only_when_told(storage: Make, tmp_path: Path) -> None:
    there = tmp_path / "some" / "where"
    with pytest.raises(ConfigError, match=r"(?s)directory: is not there.*create_directory: true"):
        await storage(there).start()
    extension = storage(there, create_directory=True, directory_permissions="0701")
    await extension.start()
    assert there.stat().st_mode & 0o777 == 0o701
    assert extension.journal is not None
    (tmp_path / "file").touch()
    for options in ({}, {"create_directory": True}):
        with pytest.raises(ConfigError, match="is no directory"):
            await storage(tmp_path / "file", **options).start()


async def test_one_that_takes_over_goes_on_with_the_same_journal(
    storage: Make, tmp_path: Path
) -> None:
    old = storage(tmp_path, max_size_mib=1)
    await old.start()
    assert old.journal is not None
    queue = old.journal.queue("otlp")
    await queue.append(traces(name="kept"))
    link = tmp_path.with_suffix(".link")
    link.symlink_to(tmp_path)
    new = storage(link, max_size_mib=2, fsync=True)
    await new.start()
    assert new.journal is old.journal
    assert new.journal.max_bytes == 2 * MIB
    await new.stop()
    assert old.journal.max_bytes == MIB, "the reload has failed, and the old one stays"
    await new.start()
    await old.stop()
    await old.stop()
    assert old.journal is None
    assert new.journal is not None
    record = await new.journal.queue("otlp").take()
    assert record is not None
    queue.done(record.id)
    await new.stop()
    await old.start()
    assert old.journal is not None
    assert old.journal.recovery.records == 0


async def test_waits_for_another_process_to_let_go(storage: Make, tmp_path: Path) -> None:
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); f.write('77777'); f.flush();"
        "fcntl.flock(f, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()"
    )
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(
        "python3", "-c", program, str(tmp_path / "lock"), stdin=pipe, stdout=pipe
    )
    assert other.stdin is not None
    assert other.stdout is not None
    await other.stdout.readline()
    with pytest.raises(ConfigError, match="is used by process 77777"):
        await storage(tmp_path, timeout="100ms").start()
    starting = asyncio.create_task(storage(tmp_path, timeout="20s").start())
    await asyncio.sleep(0)
    assert not starting.done()
    other.stdin.close()
    await other.wait()
    await starting


async def test_a_queue_of_the_go_collector_is_named(
    storage: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "exporter_otlp__traces").write_bytes(bytes(16) + b"\xed\xda\x0c\xed" + bytes(9))
    (tmp_path / "notes.txt").write_text("mine")
    await storage(tmp_path).start()
    (warning,) = caplog.messages
    assert "exporter_otlp__traces: a queue of the Go collector" in warning


def free() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Setup:
    """A collector whose exporter keeps what it cannot deliver in a storage."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.path = folder / "collector.yaml"
        self.directory = folder / "storage"
        self.env = {"HELIOGRAPH_STATE_DIR": str(folder / "state")}
        self.port = free()
        self.storage: dict[str, Any] = {
            "directory": str(self.directory),
            "create_directory": True,
            "fsync": True,
        }
        self.backend = backend

    def write(self) -> None:
        exporter = {
            "endpoint": self.backend,
            "tls": {"insecure": True},
            "sending_queue": {"storage": "file_storage", "spill_after": "0s"},
            "retry_on_failure": {"initial_interval": "10ms", "max_interval": "50ms"},
        }
        grpc_ = {"endpoint": f"127.0.0.1:{self.port}"}
        pipeline = {"receivers": ["otlp"], "exporters": ["otlp"]}
        config = {
            "receivers": {"otlp": {"protocols": {"grpc": grpc_}}},
            "exporters": {"otlp": exporter},
            "extensions": {"file_storage": self.storage},
            "service": {"extensions": ["file_storage"], "pipelines": {"traces": pipeline}},
        }
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(config))
        os.replace(new, self.path)

    async def send(self, numbers: range) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            for number in numbers:
                await caller(channel)(traces(name=f"<{number}>"))


def names(sink: Sink) -> list[str]:
    found: list[str] = []
    for batch in sink.batches:
        frame: Any = batch.frame("name")
        found += frame["name"].to_list()
    return sorted(found)


async def test_a_collector_that_is_killed_delivers_after_a_reload_and_a_restart(
    tmp_path: Path,
) -> None:
    setup = Setup(tmp_path, f"127.0.0.1:{free()}")
    setup.write()
    with Collector(setup.path, env=setup.env) as collector:
        await reached(lambda: collector.says("ready"), 30)
        await setup.send(range(20))
        setup.storage["max_size_mib"] = 16
        setup.write()
        collector.signal(signal.SIGHUP)
        await reached(lambda: collector.says(": reloaded; "), 20)
        assert collector.says("restarted: exporters.otlp, extensions.file_storage"), collector.err
        await setup.send(range(20, 40))
        collector.signal(signal.SIGKILL)
        collector.wait()
    listed = await asyncio.to_thread(
        command, "collector", "journal", "ls", "--json", "--config", str(setup.path)
    )
    (journal,) = json.loads(listed.stdout)
    assert journal["directory"] == str(setup.directory)
    (waiting,) = journal["readers"]
    assert (waiting["name"], waiting["batches"]) == ("otlp", 40)
    sink = Sink()
    async with receiving(sink, grpc={}) as backend:
        setup.backend = backend.addresses["grpc"]
        setup.write()
        with Collector(setup.path, env=setup.env) as collector:
            await reached(lambda: sink.items >= 40, 30)
            collector.signal()
            await reached(lambda: collector.process.poll() is not None, 30)
            assert collector.wait() == 0, collector.err
    assert names(sink) == sorted(f"<{number}> 0" for number in range(40))
