"""``heliograph collector journal`` beside real journals."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from journaling import drained, opened
from processes import command
from serving import receiving

from heliograph.cli import main
from heliograph.errors import Reject, Retry
from heliograph.pipeline import journal_replay
from heliograph.testing import Sink, logs, traces

Done = subprocess.CompletedProcess[str]


async def journal(*arguments: str) -> Done:
    """Run the command on a thread: many processes would take many seconds."""

    def run() -> Done:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["collector", "journal", *arguments])
        return Done(arguments, status, out.getvalue(), err.getvalue())

    return await asyncio.to_thread(run)


async def filled(directory: Path) -> None:
    async with opened(directory, fsync=None) as made:
        one, two = made.queue("otlp/one"), made.queue("otlp/two")
        for number in range(5):
            batch = traces(3, name=f"batch {number}")
            await one.append(batch)
            await two.append(batch)
        await two.append(logs(2))


def spoilt(directory: Path, text: bytes) -> Path:
    (segment,) = directory.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[data.find(text)] ^= 1
    segment.write_bytes(data)
    return segment


def state(directory: Path) -> Mapping[Path, bytes]:
    return {path: path.read_bytes() for path in directory.iterdir()}


async def test_ls_says_what_waits_for_whom(tmp_path: Path) -> None:
    await filled(tmp_path)
    before = state(tmp_path)
    done = await asyncio.to_thread(
        command, "collector", "journal", "ls", "--directory", str(tmp_path)
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, one, two, segment = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path}: ")
    assert first.endswith("in 1 segment")
    assert one.split("  ")[1:4] == ["otlp/one", "5 batches", "15 spans"]
    assert "15 spans, 2 log records" in two
    assert "s ago" in two
    assert "0000000000000000.seg  11 batches" in segment
    assert segment.endswith("sound")
    assert state(tmp_path) == before, "looking changes nothing"


async def test_looking_works_beside_a_collector_and_replaying_does_not(tmp_path: Path) -> None:
    async with opened(tmp_path, fsync=None) as made:
        await made.queue("otlp").append(traces(3))
        for name in ("ls", "verify"):
            done = await journal(name, "--directory", str(tmp_path))
            assert done.returncode == 0, done.stderr
            assert "1 batch" in done.stdout
        done = await journal("replay", "--directory", str(tmp_path), "--to", "127.0.0.1:9")
        assert done.returncode == 1
        assert f"is used by process {os.getpid()}" in done.stderr
        assert "stop it first" in done.stderr


async def test_verify_names_file_byte_and_reason(tmp_path: Path) -> None:
    await filled(tmp_path)
    done = await journal("verify", "--directory", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    segment = spoilt(tmp_path, b"batch 2")
    done = await journal("verify", "--directory", str(tmp_path))
    assert done.returncode == 1
    assert f"{segment}: 11 batches, DAMAGED: a checksum does not match at byte " in done.stdout
    assert "bytes are unreadable" in done.stdout
    async with opened(tmp_path) as made:
        await drained(made.queue("otlp/one"))
        await drained(made.queue("otlp/two"))
    done = await journal("verify", "--directory", str(tmp_path))
    assert done.returncode == 0
    assert "seg.damaged" in done.stdout
    assert "set aside at an earlier start" in done.stdout


async def test_an_unfinished_write_is_no_damage(tmp_path: Path) -> None:
    await filled(tmp_path)
    (segment,) = tmp_path.glob("*.seg")  # noqa: ASYNC240 - a test
    os.truncate(segment, segment.stat().st_size - 3)
    done = await journal("verify", "--directory", str(tmp_path))
    assert done.returncode == 0
    assert "bytes of an unfinished write" in done.stdout


async def test_another_version_is_said_with_its_fix(tmp_path: Path) -> None:
    await filled(tmp_path)
    (segment,) = tmp_path.glob("*.seg")  # noqa: ASYNC240 - a test
    data = bytearray(segment.read_bytes())
    data[8] = 2
    segment.write_bytes(data)
    for name in ("ls", "verify"):
        done = await journal(name, "--directory", str(tmp_path))
        assert done.returncode == 1
        assert "has journal format 2" in done.stderr
        assert "fix: run the version that wrote it" in done.stderr


async def test_finds_the_journals_of_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_STATE_DIR", str(tmp_path / "state"))
    config: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}},
        "exporters": {"nop": {}},
        "extensions": {"file_storage": {"directory": str(tmp_path / "storage")}},
        "service": {
            "extensions": ["file_storage"],
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["nop"]}},
        },
    }
    path = tmp_path / "collector.yaml"
    path.write_text(json.dumps(config))
    done = await journal("ls", "--config", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert "no journal here yet" in done.stderr
    from heliograph.pipeline.state import state_directory

    places = [state_directory([str(path)], slot) / "journal" for slot in (1, 3)]
    places.append(tmp_path / "storage")
    for place in places:
        await filled(place)
    done = await journal("ls", "--json", "--config", str(path))
    assert [each["directory"] for each in json.loads(done.stdout)] == list(map(str, places))
    config["service"]["journal"] = {"directory": str(tmp_path / "own")}
    path.write_text(json.dumps(config))
    await filled(tmp_path / "own")
    done = await journal("ls", "--json", "--config", str(path))
    found = [each["directory"] for each in json.loads(done.stdout)]
    assert found == [str(tmp_path / "own"), str(tmp_path / "storage")]
    assert (await journal("ls")).returncode == 2
    done = await journal("ls", "--directory", str(tmp_path / "nothing"))
    assert (done.returncode, "there is no journal" in done.stderr) == (1, True)


async def test_replay_sends_what_waits_and_then_it_is_gone(tmp_path: Path) -> None:
    await filled(tmp_path)
    sink = Sink()
    async with receiving(sink, grpc={}) as backend:
        to = ("--directory", str(tmp_path), "--to", backend.addresses["grpc"])
        done = await journal("replay", *to, "--reader", "otlp/none")
        assert done.returncode == 1
        assert "nothing waits for 'otlp/none'; there is: otlp/one, otlp/two" in done.stderr
        done = await journal("replay", *to, "--reader", "otlp/one", "--keep")
        assert done.returncode == 0, done.stderr
        assert "5 batches delivered (15 items), 0 left" in done.stdout
        assert "otlp/one: 5 of 5 batches" in done.stderr
        done = await journal("replay", *to)
        assert "11 batches delivered (32 items), 0 left" in done.stdout
        done = await journal("replay", *to)
        assert (done.returncode, done.stdout) == (0, "")
    assert sink.items == 15 + 32


async def test_replay_keeps_what_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_replay, "WAIT", 0.01)
    await filled(tmp_path)
    sink = Sink([Retry("not now"), None, Reject("never")])
    async with receiving(sink, grpc={}) as backend:
        to = ("--directory", str(tmp_path), "--to", backend.addresses["grpc"])
        done = await journal("replay", *to, "--reader", "otlp/one")
        assert done.returncode == 1
        assert "4 batches delivered (12 items), 1 left" in done.stdout
        assert "otlp/one: rejected, and kept: " in done.stderr
        assert "never" in done.stderr
    done = await journal("replay", *to, "--reader", "otlp/one")
    assert done.returncode == 1
    assert "0 batches delivered (0 items), 1 left" in done.stdout
    assert "heliograph: stopped: " in done.stderr
    listed = await journal("ls", "--directory", str(tmp_path), "--json")
    waiting = {each["name"]: each["batches"] for each in json.loads(listed.stdout)[0]["readers"]}
    assert waiting == {"otlp/one": 1, "otlp/two": 6}
