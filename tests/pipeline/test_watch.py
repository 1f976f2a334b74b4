"""Who holds the loop is named."""

from __future__ import annotations

import asyncio
import logging
import time

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
