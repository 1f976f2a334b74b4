"""Components that block run on a thread of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from graphs import Exporter, Processor, Receiver, World

from heliograph.errors import Reject
from heliograph.otlp import Batch
from heliograph.testing import traces, until


class Blocks(Processor):
    blocking = True

    async def start(self) -> None:
        await super().start()
        self.thread = threading.current_thread()

    async def consume(self, batch: Batch) -> None:
        assert threading.current_thread() is self.thread
        time.sleep(0.2)  # noqa: ASYNC251 - that is what blocking means
        await super().consume(batch)


class BlocksAtTheEnd(Exporter):
    blocking = True

    async def consume(self, batch: Batch) -> None:
        assert threading.current_thread() is not threading.main_thread()
        await super().consume(batch)


class Breaks(Processor):
    blocking = True

    async def consume(self, batch: Batch) -> None:
        raise KeyError("x")


class BlockingReceiver(Receiver):
    blocking = True

    async def start(self) -> None:
        await super().start()
        await self.send(traces(7))


async def test_the_loop_goes_on_while_a_component_blocks() -> None:
    before = threading.active_count()
    async with World({"traces": ("in", "b", "out")}, classes={"processors.b": Blocks}) as world:
        sending = asyncio.create_task(world.send(traces(2)))
        turns = 0
        while not sending.done():
            await asyncio.sleep(0.01)
            turns += 1
        await sending
        assert turns > 5
        assert world.sink("out").items == 2
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", ["exporters.out", "receivers.in"])
async def test_every_kind_may_block(kind: str) -> None:
    cls: Any = BlocksAtTheEnd if kind == "exporters.out" else BlockingReceiver
    async with World({"traces": ("in", "", "out")}, classes={kind: cls}) as world:
        if kind == "exporters.out":
            await world.send(traces(7))
        assert world.sink("out").items == 7
        assert world.graph.telemetry.value("otelcol_exporter_sent_spans") == 7


async def test_a_bug_on_a_thread_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    async with World({"traces": ("in", "b", "out")}, classes={"processors.b": Breaks}) as world:
        with pytest.raises(Reject, match=r"processors\.b"):
            await world.send(traces())
    assert "KeyError" in caplog.text


async def test_cancelling_the_sender_cancels_the_work_on_the_thread() -> None:
    async with World({"traces": ("in", "b", "out")}, classes={"processors.b": Blocks}) as world:
        world.sink("out").close()
        sending = asyncio.create_task(world.send(traces()))
        await until(lambda: world.sink("out").waiting)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await until(lambda: not world.sink("out").waiting)
        world.sink("out").open()
    assert world.sink("out").batches == []


class FailingReceiver(Receiver):
    blocking = True

    async def start(self) -> None:
        self.settings.failed(OSError("gone"))


async def test_a_component_on_a_thread_can_say_that_it_cannot_go_on() -> None:
    classes = {"receivers.in": FailingReceiver}
    async with World({"traces": ("in", "", "out")}, classes=classes) as world:
        with pytest.raises(OSError, match="gone"):
            await world.graph.failed


async def test_stop_without_start_leaves_no_thread() -> None:
    before = threading.active_count()
    world = World({"traces": ("in", "b", "out")}, classes={"processors.b": Blocks})
    await world.graph.stop()
    await world.graph.stop()
    world.edge.close()
    assert threading.active_count() == before
