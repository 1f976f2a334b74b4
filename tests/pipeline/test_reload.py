"""A running collector reloads: real processes, real clients, data flowing meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from processes import Collector, command
from serving import caller, reached, receiving

from heliograph.otlp import Batch
from heliograph.testing import Sink, traces

EXPORT_PATH = "/v1/traces"


class Relay:
    """Hands connections on, and counts them."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self.accepted = 0

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        other_reader, other_writer = await asyncio.open_connection(*self._target)
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Setting:
    """A configuration file whose parts can be rewritten."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.path = folder / "collector.yaml"
        self.grpc, self.http, self.health = free(), free(), free()
        self.parts: dict[str, Any] = {
            "receivers": {"otlp": {"protocols": {}}},
            "processors": {"batch": {"timeout": "10ms"}},
            "exporters": {"otlp": {"endpoint": backend, "tls": {"insecure": True}}},
            "extensions": {"health_check": {"endpoint": f"127.0.0.1:{self.health}"}},
            "service": {
                "extensions": ["health_check"],
                "telemetry": {"logs": {"level": "info"}},
                "pipelines": {
                    "traces": {
                        "receivers": ["otlp"],
                        "processors": ["batch"],
                        "exporters": ["otlp"],
                    }
                },
            },
        }
        self.write()

    def write(self) -> None:
        """Replace the file, as editors do."""
        protocols = self.parts["receivers"]["otlp"]["protocols"]
        for name in ("grpc", "http"):
            endpoint = f"127.0.0.1:{getattr(self, name)}"
            protocols[name] = {**protocols.get(name, {}), "endpoint": endpoint}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.parts, indent=1))  # JSON is YAML
        os.replace(new, self.path)

    @property
    def traces(self) -> dict[str, Any]:
        return self.parts["service"]["pipelines"]["traces"]  # type: ignore[no-any-return]


def free() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def running(folder: Path, *more: str) -> AsyncIterator[tuple[Setting, Collector, Sink, Any]]:
    """Run a collector in front of a sink that counts connections."""
    sink = Sink()
    async with receiving(sink, grpc={}) as backend, Relay(backend.addresses["grpc"]) as relay:
        setting = Setting(folder, relay.address)
        with Collector(setting.path, *more) as collector:
            await reached(lambda: collector.says("ready"), 30)
            yield setting, collector, sink, relay
            collector.signal()
            await reached(lambda: collector.process.poll() is not None, 30)
            assert collector.wait() == 0, collector.err


async def reloaded(collector: Collector, times: int = 1) -> None:
    """Ask for a reload and return when it has happened."""
    collector.signal(signal.SIGHUP)
    await reached(lambda: sum(": reloaded; " in line for line in collector.err) == times)


@asynccontextmanager
async def load(send: Callable[[Batch], Any], sink: Sink) -> AsyncIterator[None]:
    """Send all the time; at the end everything must have been accepted and delivered."""
    done = False
    sent = 0

    async def sender() -> None:
        nonlocal sent
        while not done:
            sent += 1
            await send(traces(1, name=f"<{sent}>"))

    senders = [asyncio.create_task(sender()) for _ in range(8)]
    await reached(lambda: sink.items > 50)
    yield
    before = sent
    await reached(lambda: sent > before + 50)
    done = True
    await asyncio.gather(*senders)
    names = b"".join(bytes(batch.wire()) for batch in sink.batches)
    assert set(re.findall(rb"<(\d+)> 0", names)) == {b"%d" % n for n in range(1, sent + 1)}
    assert sink.items == sent


async def test_connections_and_unchanged_parts_stay_under_load(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, sink, relay):
        async with Relay(f"127.0.0.1:{setting.grpc}") as front:
            channel = grpc.aio.insecure_channel(front.address)
            async with channel, load(caller(channel), sink):
                setting.parts["processors"]["batch"]["timeout"] = "20ms"
                setting.write()
                await reloaded(collector)
                setting.traces["processors"] = []
                setting.parts["processors"] = {}
                setting.write()
                await reloaded(collector, 2)
            assert front.accepted == 1, "the client had to connect again"
        assert relay.accepted == 1, "the exporter had to connect again"
        assert collector.says("SIGHUP: reloaded; restarted: processors.batch in traces")
        assert collector.says("SIGHUP: reloaded; removed: processors.batch in traces")


async def test_another_exporter_gets_what_comes_from_now_on(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, sink, relay):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{setting.grpc}")
        async with channel, load(caller(channel), sink):
            setting.parts["exporters"]["otlp"]["timeout"] = "4s"
            setting.write()
            await reloaded(collector)
        assert relay.accepted == 2
        assert collector.says("reloaded; restarted: exporters.otlp")


def poster(port: int) -> Callable[[Batch], Any]:
    """Return a function that sends each batch over a connection of its own."""

    def post(batch: Batch) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"content-type": "application/x-protobuf"}
        try:
            connection.request("POST", EXPORT_PATH, bytes(batch.wire()), headers)
            response = connection.getresponse()
            assert response.status == 200, response.read()
        finally:
            connection.close()

    return lambda batch: asyncio.to_thread(post, batch)


async def test_a_receiver_that_restarts_refuses_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, sink, _):
        async with load(poster(setting.http), sink):
            for number in range(1, 6):
                options = setting.parts["receivers"]["otlp"]["protocols"]["http"]
                options["max_request_body_size"] = number * 1000
                setting.write()
                await reloaded(collector, number)
        assert collector.says("reloaded; restarted: receivers.otlp")


async def test_a_receiver_moves_to_another_port(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, sink, _):
        old, setting.http = setting.http, free()
        setting.write()
        await reloaded(collector)
        await poster(setting.http)(traces(3))
        assert sink.items == 3
        await reached(lambda: refused(old))


async def test_a_page_changes_on_its_port_and_moves_to_a_wider_address(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, _, _):
        page = setting.parts["extensions"]["health_check"]
        for times, change in enumerate(
            ({"path": "/alive"}, {"endpoint": f"0.0.0.0:{setting.health}"}), 1
        ):
            page |= change
            setting.write()
            await reloaded(collector, times)
            assert await asyncio.to_thread(status, setting.health, "/alive") == 200
            assert await asyncio.to_thread(status, setting.health, "/") == 404


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def refused(port: int) -> bool:
    with socket.socket() as to:
        return to.connect_ex(("127.0.0.1", port)) != 0


async def test_an_invalid_configuration_changes_nothing_and_says_why(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, sink, relay):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{setting.grpc}") as channel:
            await caller(channel)(traces(1))
            setting.parts["processors"]["batch"]["tmeout"] = "20ms"
            setting.parts["exporters"]["otlp"]["timeout"] = "4s"
            setting.write()
            told = await asyncio.to_thread(
                command, "collector", "reload", "--config", str(setting.path)
            )
            assert told.returncode == 1
            wrong = f"{setting.path}:17:4: processors.batch.tmeout: is not an option here"
            assert told.stderr == f"{wrong}\n    fix: did you mean 'timeout'?\n"
            assert collector.says("control socket: not reloaded, nothing has changed:")
            assert collector.says(wrong)
            await caller(channel)(traces(1))
        assert (sink.items, relay.accepted) == (2, 1)


async def test_a_port_that_is_taken_changes_nothing_and_says_why(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, sink, _):
        old = setting.http
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            setting.http = taken.getsockname()[1]
            setting.write()
            collector.signal(signal.SIGHUP)
            await reached(lambda: collector.says("SIGHUP: not reloaded"))
        place = r"collector\.yaml:\d+:\d+: receivers\.otlp\.protocols\.http\.endpoint: "
        assert any(re.search(place + f".*{setting.http} is in use", line) for line in collector.err)
        await poster(old)(traces(1))
        assert sink.items == 1


async def test_the_reload_command_prints_what_became_of_whom(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, _, _, _):
        setting.parts["processors"]["batch"]["timeout"] = "20ms"
        setting.parts["service"]["telemetry"]["metrics"] = {"level": "none"}
        setting.write()
        told = await asyncio.to_thread(
            command, "collector", "reload", "--config", str(setting.path)
        )
    assert told.stdout.splitlines() == [
        "restarted: processors.batch in traces",
        "kept: exporters.otlp, extensions.health_check, receivers.otlp",
        "service.telemetry.metrics has changed; restart to apply it",
    ]
    assert told.returncode == 0
    told = command("collector", "reload", "--config", str(setting.path))
    assert told.returncode == 1
    assert told.stderr.startswith("no collector with this configuration listens on ")


async def test_the_log_changes_too(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, _, _):
        setting.parts["service"]["telemetry"]["logs"] = {"encoding": "json"}
        setting.write()
        await reloaded(collector)
        assert json.loads(collector.err[-1])["level"] == "info"
        unwritable = {"output_paths": [str(tmp_path / "no" / "log")]}
        setting.parts["service"]["telemetry"]["logs"] = unwritable
        setting.write()
        collector.signal(signal.SIGHUP)
        await reached(lambda: collector.says("service.telemetry.logs.output_paths: "))


async def test_two_at_once_the_last_wins(tmp_path: Path) -> None:
    async with running(tmp_path) as (setting, collector, sink, _):
        for number in range(10, 16):
            setting.parts["processors"]["batch"]["timeout"] = f"{number}ms"
            setting.write()
            collector.signal(signal.SIGHUP)
        setting.http = free()
        setting.write()
        collector.signal(signal.SIGHUP)
        await reached(lambda: not refused(setting.http))
        await poster(setting.http)(traces(1))
        assert sink.items == 1


STAMP = '''
"""Stamps."""
from heliograph.otlp import Set, Signal
from heliograph.pipeline.component import ComponentConfig


class Config(ComponentConfig):
    pass


class Processor:
    signals = frozenset({Signal.TRACES})

    def __init__(self, config, settings, next):
        self.next = next

    async def start(self):
        pass

    async def consume(self, batch):
        await self.next.consume(batch.edit([Set("name", "VERSION")]))

    async def stop(self):
        pass
'''


async def test_watch_sees_component_files_and_swapped_links(tmp_path: Path) -> None:
    data = tmp_path / "..data"
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "stamp.py").write_text(STAMP.replace("VERSION", f"v{number}"))
    data.symlink_to("1")
    (tmp_path / "stamp.py").symlink_to("..data/stamp.py")
    sink = Sink()
    async with receiving(sink, grpc={}) as backend:
        setting = Setting(tmp_path, backend.addresses["grpc"])
        setting.parts["service"]["components"] = ["stamp.py"]
        setting.parts["processors"] = {"stamp": {}}
        setting.traces["processors"] = ["stamp"]
        setting.write()
        with Collector(setting.path, "--watch") as collector:
            await reached(lambda: collector.says("ready"), 30)
            await poster(setting.http)(traces(1))
            (tmp_path / "..new").symlink_to("2")
            os.replace(tmp_path / "..new", data)
            await reached(lambda: collector.says("--watch: reloaded; restarted: processors.stamp"))
            await poster(setting.http)(traces(1))
            setting.traces["processors"] = ["none"]
            setting.write()
            await reached(lambda: collector.says("'none' is not configured under processors"))
            setting.traces["processors"] = []
            setting.write()
            await reached(lambda: collector.says("--watch: reloaded; removed: processors.stamp"))
            await poster(setting.http)(traces(1, name="as it is"))
    names = re.findall(r'"name":"([^"]+)"', " ".join(b.json().decode() for b in sink.batches))
    assert [name for name in names if "." not in name] == ["v1", "v2", "as it is 0"]


async def test_it_stops_while_a_component_does_not_start(tmp_path: Path) -> None:
    hanging = STAMP.replace("    async def start(self):\n        pass", HANGING)
    (tmp_path / "hanging.py").write_text(hanging)
    async with running(tmp_path) as (setting, collector, sink, _):
        setting.parts["service"]["components"] = ["hanging.py"]
        setting.parts["processors"]["hanging"] = {}
        setting.traces["processors"] = ["hanging"]
        setting.write()
        collector.signal(signal.SIGHUP)
        await reached(lambda: "hangs" in collector.out)
        await poster(setting.http)(traces(1))
    assert sink.items == 1


HANGING = """
    async def start(self):
        import asyncio
        print("hangs", flush=True)
        await asyncio.sleep(3600)
"""


async def test_several_collectors_with_one_configuration(tmp_path: Path) -> None:
    path = tmp_path / ("deep" * 30) / "collector.yaml"
    path.parent.mkdir()
    path.write_text(
        "receivers: {otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}}}}\n"
        "exporters: {nop: {}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n"
    )
    state = {"HELIOGRAPH_STATE_DIR": str(tmp_path / ("state" * 20))}
    with Collector(path, env=state) as first:
        await reached(lambda: first.says("ready"), 30)
        sockets = [line.partition("control socket: ")[2] for line in first.err]
        (own,) = filter(None, sockets)
        assert os.stat(own).st_mode & 0o777 == 0o600
        assert len(own) > 108
        with Collector(path, env=state) as second:
            await reached(lambda: second.says("ready"), 30)
            assert second.says(f"control socket: {Path(own).parent}-2/control.sock")
            asked = await asyncio.to_thread(command, "collector", "reload", "--socket", own)
            assert asked.stdout == "kept: exporters.nop, receivers.otlp\n"
        first.process.kill()
        first.wait()
    os.stat(own)  # a collector that was killed leaves its socket
    with Collector(path, env=state) as third:
        await reached(lambda: third.says("ready"), 30)
        asked = await asyncio.to_thread(command, "collector", "reload", "--socket", own)
        assert asked.returncode == 0


async def test_without_a_state_directory_it_runs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HELIOGRAPH_STATE_DIR", str(tmp_path / "file"))
    async with running(tmp_path) as (_, collector, _, _):
        assert collector.says("no control socket: ")
        assert collector.says("set HELIOGRAPH_STATE_DIR")
