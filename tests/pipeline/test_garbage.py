"""A batch that was not taken is let go at once: nothing waits for the garbage collector.

Senders that are turned away come again within a second; what each of them left behind would add
up to far more than the limit before a collection.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from graphs import World

from heliograph.errors import DeliveryError, Reject, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.delivery import DeliveryConfig
from heliograph.processors import batch as batching
from heliograph.testing import FakeClock, logs, settle


class Backend:
    """Fails as it is told."""

    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.LOGS})
    fail: ClassVar[Callable[[], Exception] | None] = None

    def __init__(self, config: DeliveryConfig, settings: object) -> None:
        """Nothing to keep."""

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def consume(self, batch: Batch) -> None:
        if Backend.fail is not None:
            raise Backend.fail()
        await asyncio.Event().wait()


PLAIN = DeliveryConfig.model_validate({"timeout": "1s"})
ALONE = DeliveryConfig.model_validate({"sending_queue": {"enabled": False}})
MERGING = DeliveryConfig.model_validate({"timeout": "1s", "sending_queue": {"batch": {}}})
ONE = DeliveryConfig.model_validate({"timeout": "60s", "sending_queue": {"num_consumers": 1}})
BATCH = (batching.Processor, batching.Config())
SHAPES = {
    "alone": ("", "a", PLAIN),
    "no queue": ("", "a", ALONE),
    "one at a time": ("", "a", ONE),
    "merged by the exporter": ("", "a", MERGING),
    "merged by a processor": ("batch", "a", PLAIN),
    "two exporters": ("", "a b", PLAIN),
    "merged, two exporters": ("batch", "a b", PLAIN),
}
FAILURES = {
    "busy": lambda: Retry("busy"),
    "later": lambda: Retry("later", after=100),
    "world": lambda: ConnectionError("gone"),
    "rejected": lambda: Reject("bad"),
    "hangs": None,
}


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """What the garbage collector finds instead of freeing it."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_what_was_not_taken_is_let_go(
    shape: tuple[str, str, DeliveryConfig],
    fail: Callable[[], Exception] | None,
    garbage: list[object],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Backend, "fail", fail)
    processors, exporters, config = shape
    classes = {f"exporters.{name}": (Backend, config) for name in exporters.split()}
    clock = FakeClock()
    world = World(
        {"logs": ("in", processors, exporters)},
        classes={"processors.batch": BATCH, **classes},
        clock=clock,
    )

    async def send(number: int) -> None:
        try:
            await world.send(logs(1, body=f"{request.node.name} {number}"))
        except DeliveryError:
            return

    async with world:
        senders = [asyncio.create_task(send(number)) for number in range(3)]
        await settle(5)
        await clock.advance(60)
        gone = [sender.cancel() for sender in senders if not sender.done()]
        assert not gone or fail is None
        await asyncio.wait(senders)
        senders.clear()
        await settle(5)
        gc.collect()
        ours = request.node.name.encode()
        left = [one for one in garbage if isinstance(one, Batch) and ours in bytes(one.wire())]
    assert not left
