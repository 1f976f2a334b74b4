"""Who holds the loop is named."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest
from graphs import Processor, World

from heliograph.otlp import Batch
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.watch import LoopWatch
from heliograph.testing import traces


class Slow(Processor):
    async def consume(self, batch: Batch) -> None:
        time.sleep(0.5)  # noqa: ASYNC251 - that is what must not happen
        await super().consume(batch)


class Imports(Processor):
    async def consume(self, batch: Batch) -> None:
        import slow_to_import  # noqa: F401

        await super().consume(batch)


async def test_an_import_is_nobodys_fault(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time; time.sleep(0.5)")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with World({"traces": ("in", "p", "out")}, classes={"processors.p": Imports}) as w:
        watch = LoopWatch(
            w.graph.owner, w.graph.telemetry, Sparingly(logging.getLogger("x"), time.monotonic)
        )
        watch.start()
        try:
            await w.send(traces())
        finally:
            watch.stop()
        assert w.graph.telemetry.value("heliograph_loop_held", component="unknown") == 1
    assert caplog.records == []


async def test_a_component_that_holds_the_loop_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with World({"traces": ("in", "p/slow", "out")}, classes={"processors.p/slow": Slow}) as w:
        telemetry = w.graph.telemetry
        watch = LoopWatch(
            w.graph.owner, telemetry, Sparingly(logging.getLogger("x"), time.monotonic)
        )
        watch.start()
        try:
            await asyncio.sleep(0.2)
            assert telemetry.value("heliograph_loop_held") == 0
            await w.send(traces())
            await w.send(traces())
        finally:
            watch.stop()
        assert telemetry.value("heliograph_loop_held", component="processors.p/slow") >= 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "processors.p/slow holds the event loop" in caplog.text
