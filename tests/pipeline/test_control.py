"""The control socket's manners."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import ConfigError, Problem
from heliograph.pipeline.control import Control, ControlError, ask

LOG = logging.getLogger("test.control")


async def echo(request: Mapping[str, Any]) -> Any:
    return dict(request)


async def refuse(request: Mapping[str, Any]) -> Any:
    raise ConfigError([Problem("a.b", "is wrong", fix="mend it")])


async def broken(request: Mapping[str, Any]) -> Any:
    raise KeyError("bug")


async def test_answers_and_refusals(tmp_path: Path) -> None:
    control = Control(tmp_path / "socket", {"echo": echo, "refuse": refuse, "broken": broken}, LOG)
    await control.start()
    try:
        found = await asyncio.to_thread(ask, control.path, "echo", level=3)
        assert found == {"command": "echo", "level": 3}
        for command, answer in (
            ("refuse", "a.b: is wrong\n    fix: mend it"),
            ("broken", "KeyError: 'bug'"),
            ("other", "there is no command 'other'; there are: broken, echo, refuse"),
        ):
            with pytest.raises(ControlError) as caught:
                await asyncio.to_thread(ask, control.path, command)
            assert str(caught.value) == answer
    finally:
        await control.stop()
    assert not control.path.exists()
    with pytest.raises(ControlError, match="no collector listens on"):
        ask(control.path, "echo")


async def test_noise_is_answered_and_a_flood_is_cut_off(tmp_path: Path) -> None:
    control = Control(tmp_path / "socket", {"echo": echo}, LOG)
    await control.start()
    try:
        reader, writer = await asyncio.open_unix_connection(control.path)
        for line in (b"nonsense", b"[1]", b'{"command": ["echo"]}', b"\xff"):
            writer.write(line + b"\n")
            assert json.loads(await reader.readline())["ok"] is False
        writer.write(b'{"command": "echo"}\n')
        assert json.loads(await reader.readline())["ok"] is True
        writer.write(b"x" * 200_000)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_unix_connection(control.path)
        writer.write(b'{"command": "echo"}\n')
        await reader.readline()
    finally:
        await control.stop()
    assert await reader.read() == b"", "a connection that says no more is closed at the end"
    writer.close()
