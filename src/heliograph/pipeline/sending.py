"""What all ways of delivering share: slots, attempts, back-off, and the record of what became."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from heliograph.errors import Retry
from heliograph.otlp import Batch
from heliograph.pipeline.alarms import TICK, Alarms
from heliograph.pipeline.attempts import ANY_NUMBER, Attempts, Slots
from heliograph.pipeline.backoff import Gate, Intervals
from heliograph.pipeline.component import Exporter, Settings
from heliograph.pipeline.delivery_config import DeliveryConfig
from heliograph.pipeline.outcomes import Outcomes

PATIENCE = 5.0
"""Seconds that a sender waits at most."""

WAITED_FOR = 40
"""Requests in flight at a time whose senders wait, where ``num_consumers`` is not written."""

QUEUED = 10
"""The same of what is taken from a queue."""

ROOM = 64 * 2**20
"""Bytes that may wait in memory for one exporter where ``queue_size`` is not written."""

_AT_ONCE = Intervals(initial=0.0)


class Sending:
    """One exporter's means."""

    def __init__(self, exporter: Exporter, config: DeliveryConfig, settings: Settings) -> None:
        queue, retry = config.sending_queue, config.retry_on_failure
        self.name = str(settings.id)
        self.clock = settings.clock
        self.now = settings.clock.monotonic
        self.outcomes = Outcomes(settings)
        self.retry = retry
        self.queue = queue
        self.intervals = Intervals(
            retry.initial_interval,
            retry.multiplier,
            retry.randomization_factor,
            retry.max_interval,
        )
        self.gate = Gate(self.intervals if retry.enabled else _AT_ONCE, random.random)
        self.slots = Slots((queue.num_consumers or WAITED_FOR) if queue.enabled else ANY_NUMBER)
        # Where it is written, one is left for whom a sender waits.
        self.most_queued = max(1, queue.num_consumers - 1) if queue.num_consumers else QUEUED
        shortest = min(x for x in (TICK * 4, config.timeout, queue.spill_after) if x)
        self.alarms = Alarms(self.clock, min(TICK, shortest / 4))
        self.attempts = Attempts(
            exporter, self.outcomes, self.clock, self.alarms, timeout=config.timeout
        )
        self.room = Room(queue.queue_size, queue.sizer)
        self.opened: list[Callable[[], None]] = []
        """Called when something gets through for the first time after an outage."""
        self._resting: set[asyncio.Future[None]] = set()

    async def attempt(self, left: deque[Batch]) -> None:
        """Deliver in the slot that the caller has, which is free afterwards; tell the gate.

        Raises: as `Attempts.run`.
        """
        started = self.now()
        try:
            await self.attempts.run(left)
        except Retry as error:
            self.gate.failed(started, self.now(), error.after)
            raise
        finally:
            self.slots.release()
        if self.gate.failing and self.gate.succeeded():
            for rest in self._resting:
                rest.cancel()
            for call in self.opened:
                call()

    async def rest(self, seconds: float) -> None:
        """Return after so long, or when something gets through for the first time."""
        rest = asyncio.ensure_future(self.clock.sleep(seconds))
        self._resting.add(rest)
        try:
            await asyncio.wait([rest])
        finally:
            self._resting.discard(rest)
            rest.cancel()

    def back_off(self, attempts: int, failure: Retry) -> float:
        """Return the wait after so many failed attempts of a batch."""
        return max(
            self.intervals.after(attempts, random.random),
            failure.after or 0.0,
            self.gate.wait(self.now()),
        )

    def leave_by(self, batch: Batch, arrived: float) -> float:
        """Return when the sender will have gone."""
        deadline = batch.context.deadline
        return arrived + PATIENCE if deadline is None else min(arrived + PATIENCE, deadline)


class Room:
    """What waits in memory for one exporter, and the bound of it."""

    def __init__(self, bound: int | None, sizer: str) -> None:
        self.bound = ROOM if bound is None else bound
        self._sizer = "bytes" if bound is None else sizer
        self.used = 0
        self.items = 0

    def fits(self, batch: Batch) -> bool:
        """Whether it may wait; one always may."""
        return not self.used or self.used + self.measure(batch) <= self.bound

    def enter(self, batch: Batch) -> None:
        """It waits."""
        self.used += self.measure(batch)
        self.items += batch.items

    def leave(self, batch: Batch) -> None:
        """It waits no longer."""
        self.used -= self.measure(batch)
        self.items -= batch.items

    def measure(self, batch: Batch) -> int:
        """Return its size as the bound counts it."""
        if self._sizer == "bytes":
            return batch.nbytes
        return 1 if self._sizer == "requests" else batch.items
