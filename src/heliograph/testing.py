"""For tests of components, ours and yours: a fake clock, sinks and sample telemetry.

::

    async def test_my_processor() -> None:
        sink = Sink()
        processor = Processor(Config(...), settings(), sink)
        await processor.consume(traces(3))
        assert sink.items == 3
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from heliograph.otlp import Batch, Context, Signal
from heliograph.pipeline.component import Component, ComponentId, Edge, Kind, Settings
from heliograph.pipeline.telemetry import Telemetry

EPOCH_NS = 1_700_000_000_000_000_000
"""When a `FakeClock` starts and sample telemetry happens."""


class FakeClock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._now

    def time_ns(self) -> int:
        """Nanoseconds since the epoch; `EPOCH_NS` at the start."""
        return EPOCH_NS + round(self._now * 1e9)

    async def sleep(self, seconds: float) -> None:
        """Return when `advance` has moved the clock far enough."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Move on; whoever sleeps wakes in order, and runs before the next one."""
        await settle()
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
            await settle()
        self._now = end


async def settle(rounds: int = 20) -> None:
    """Let everything run that can run without time or outside events."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Return when the condition holds; for what happens in other threads and processes.

    Raises: TimeoutError.
    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


class Sink:
    """A consumer that keeps what it gets.

    Args:
        outcomes: what happens to the first batches: an exception is raised, None is success;
            after the last, everything succeeds.
    """

    def __init__(self, outcomes: Iterable[Exception | None] = ()) -> None:
        self._outcomes = iter(outcomes)
        self._gate: asyncio.Event | None = None
        self.batches: list[Batch] = []
        """What was taken, in order."""
        self.tried: list[Batch] = []
        """What came, taken or not."""
        self.waiting = 0
        """How many wait for the sink to open."""

    @property
    def items(self) -> int:
        """Items of all batches that were taken."""
        return sum(batch.items for batch in self.batches)

    def close(self) -> None:
        """Let batches wait from now on."""
        self._gate = asyncio.Event()

    def open(self) -> None:
        """Let them through again."""
        if self._gate is not None:
            self._gate.set()
        self._gate = None

    async def consume(self, batch: Batch) -> None:
        self.tried.append(batch)
        if self._gate is not None:
            self.waiting += 1
            try:
                await self._gate.wait()
            finally:
                self.waiting -= 1
        outcome = next(self._outcomes, None)
        if outcome is not None:
            raise outcome
        self.batches.append(batch)


def settings(
    id: str = "test",
    kind: Kind = Kind.PROCESSOR,
    *,
    clock: Any = None,
    telemetry: Telemetry | None = None,
    extensions: Mapping[ComponentId, Component] | None = None,
    signal: Signal | None = None,
    failed: Callable[[BaseException], None] | None = None,
    edge: Edge | None = None,
) -> Settings:
    """Return what a component is given, with a fake clock unless told otherwise.

    Without ``edge`` one is made for the running loop; a test that starts native receivers or
    exporters makes its own and closes it.
    """
    log = logging.getLogger(f"heliograph.{kind.value}.{id}")
    type, _, name = id.partition("/")
    return Settings(
        id=ComponentId(type, name),
        kind=kind,
        log=log,
        edge=edge or _Unconnected(),
        signal=signal,
        clock=clock or FakeClock(),
        telemetry=telemetry or Telemetry(),
        extensions=extensions or {},
        failed=failed or _raise,
    )


class _Unconnected(Edge):
    """An edge that no loop listens to, for components that do not use it."""

    def __init__(self) -> None:
        pass

    def close(self) -> None:
        pass


def _raise(error: BaseException) -> None:
    raise error


def traces(
    spans: int = 1,
    *,
    service: str = "shop",
    name: str = "span",
    padding: int = 0,
    context: Context | None = None,
) -> Batch:
    """Return a batch of spans ``name 0``, ``name 1``, …, each with ``padding`` extra bytes."""
    made = [_span(f"{name} {i}", i, padding) for i in range(spans)]
    return Batch(Signal.TRACES, _request(service, made), context)


def logs(records: int = 1, *, service: str = "shop", body: str = "line") -> Batch:
    """Return a batch of log records with the bodies ``line 0``, ``line 1``, …"""
    made = [
        _fixed64(1, EPOCH_NS + i) + _number(2, 9) + _bytes(5, _text(1, f"{body} {i}"))
        for i in range(records)
    ]
    return Batch(Signal.LOGS, _request(service, made))


def metrics(points: int = 1, *, service: str = "shop", name: str = "gauge") -> Batch:
    """Return a batch with one gauge of so many points, whose values are 0, 1, …"""
    made = [_fixed64(3, EPOCH_NS) + _fixed64(6, i) for i in range(points)]
    gauge = b"".join(_bytes(1, point) for point in made)
    return Batch(Signal.METRICS, _request(service, [_text(1, name) + _bytes(5, gauge)]))


def _request(service: str, items: Iterable[bytes]) -> bytes:
    """One resource, one scope; the three signals have the same shape down to here."""
    attribute = _text(1, "service.name") + _bytes(2, _text(1, service))
    scope = _bytes(1, _text(1, "heliograph.testing")) + b"".join(_bytes(2, item) for item in items)
    return _bytes(1, _bytes(1, _bytes(1, attribute)) + _bytes(2, scope))


def _span(name: str, number: int, padding: int) -> bytes:
    span = _bytes(1, (number + 1).to_bytes(16, "big")) + _bytes(2, (number + 1).to_bytes(8, "big"))
    span += _text(5, name) + _number(6, 2)
    span += _fixed64(7, EPOCH_NS + number) + _fixed64(8, EPOCH_NS + number + 1_000_000)
    if padding:
        span += _bytes(9, _text(1, "padding") + _bytes(2, _text(1, "x" * padding)))
    return span


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _fixed64(field: int, value: int) -> bytes:
    return _varint(field << 3 | 1) + value.to_bytes(8, "little")
