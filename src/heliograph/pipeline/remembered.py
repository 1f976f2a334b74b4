"""Acknowledging from memory, as the Go collector does by default: ``acknowledge: memory``.

What waits is bounded; beyond, senders are refused. A crash loses it, and so does an end of the
process that the other side does not outlast; that loss is counted and said, unless a journal takes
the rest.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable

from heliograph.errors import Retry
from heliograph.otlp import Batch
from heliograph.pipeline.journal import JournalError
from heliograph.pipeline.kept import Kept
from heliograph.pipeline.pump import LAST, Held, Pump
from heliograph.pipeline.sending import Sending


class MemoryQueue:
    """Batches in memory, as `pipeline.pump.Queue`."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._ids = itertools.count()
        self._waiting: OrderedDict[int, Held] = OrderedDict()
        self._taken: dict[int, Held] = {}
        self.wakes: list[Callable[[], None]] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def clear(self) -> list[Batch]:
        """Hold nothing any more; return what was not done, oldest first."""
        records = {**self._waiting, **self._taken}
        batches = [records[id].batch for id in sorted(records)]
        self._waiting.clear()
        self._taken.clear()
        for batch in batches:
            self._sending.room.leave(batch)
        return batches

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest that is held came."""
        ages = (record.received_ns for record in (*self._waiting.values(), *self._taken.values()))
        return min(ages, default=None)

    def append(self, batch: Batch) -> None:
        self._sending.room.enter(batch)
        id = next(self._ids)
        self._waiting[id] = Held(id, batch, self._sending.clock.time_ns())
        self._wake()

    async def take(self) -> Held | None:
        if not self._waiting:
            return None
        id, record = self._waiting.popitem(last=False)
        self._taken[id] = record
        return record

    def done(self, id: int) -> None:
        self._sending.room.leave(self._taken.pop(id).batch)

    def put_back(self, id: int) -> None:
        self._waiting[id] = self._taken.pop(id)
        self._waiting.move_to_end(id, last=False)
        self._wake()

    async def replace(self, id: int, batches: list[Batch]) -> bool:
        for batch in batches:
            self.append(batch)
        self.done(id)
        return True

    def _wake(self) -> None:
        for wake in self.wakes:
            wake()


class Remembered:
    """The way that trusts memory."""

    def __init__(self, sending: Sending, journal: Kept | None) -> None:
        self._sending = sending
        self._queue = MemoryQueue(sending)
        self._pump = Pump(sending, self._queue)
        self._journal = journal
        self._started = False

    @property
    def queue_capacity(self) -> int:
        """What ``queue_size`` may reach."""
        return self._sending.room.bound

    @property
    def queue_size(self) -> int:
        """What waits, as ``sizer`` counts it."""
        return self._sending.room.used

    @property
    def waiting(self) -> int:
        """Items that are acknowledged and not delivered."""
        return self._sending.room.items

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest of them came."""
        return self._queue.oldest_ns

    async def start(self) -> None:
        self._pump.start()
        self._started = True

    async def consume(self, batch: Batch) -> None:
        sending = self._sending
        if not sending.room.fits(batch):
            if not sending.queue.block_on_overflow:
                sending.outcomes.refused(batch)
                raise Retry(f"too much waits for {sending.name} already")
            leave_by = sending.leave_by(batch, sending.now())
            while not sending.room.fits(batch):
                if sending.now() >= leave_by:
                    raise Retry(f"too much waits for {sending.name} already")
                await sending.clock.sleep(_LOOK)
        self._queue.append(batch)

    async def stop(self) -> None:
        """Deliver what is held, for so long; the journal takes the rest, or it is lost and said."""
        if not self._started:
            return
        self._started = False
        try:
            async with asyncio.timeout(LAST):
                await self._pump.idle()
        except TimeoutError:
            pass
        finally:
            await self._pump.stop(0)
            for batch in self._queue.clear():
                await self._rescue(batch)

    async def _rescue(self, batch: Batch) -> None:
        try:
            if self._journal is not None:
                await self._journal.append(batch, pack=True, hold=False)
                self._sending.outcomes.journaled(batch)
                return
        except JournalError:
            pass
        self._sending.outcomes.abandoned(batch)


_LOOK = 0.05
"""Seconds between two looks for room where senders may wait."""
