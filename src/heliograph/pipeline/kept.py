"""One exporter's share of a journal: bounded by ``queue_size`` where written, and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.journal import Journal, JournalError, JournalFull
from heliograph.pipeline.pump import Held
from heliograph.pipeline.sending import Sending


@dataclass(frozen=True)
class _Out:
    items: int
    nbytes: int
    received_ns: int


class Kept:
    """A journal's queue as `pipeline.pump.Queue`."""

    def __init__(self, journal: Journal, name: str, sending: Sending) -> None:
        self._journal = journal
        self._queue = queue = journal.queue(name)
        self._outcomes = sending.outcomes
        self._time_ns = sending.clock.time_ns
        self._bound = sending.queue.queue_size
        self._sizer = sending.queue.sizer if self._bound else "bytes"
        self._out: dict[int, _Out] = {}
        self._noticed: dict[str, Mapping[Signal, int]] = {"journal_full": {}, "journal_damaged": {}}
        sending.outcomes.restored(queue.waiting_items)

    @property
    def waiting(self) -> int:
        """Records that nobody has taken."""
        return self._queue.waiting

    @property
    def wakes(self) -> list[Callable[[], None]]:
        """Called when something waits that did not before, whoever put it there."""
        return self._queue.wakes

    @property
    def waiting_bytes(self) -> int:
        """Their bytes, as batches."""
        return self._queue.waiting_bytes

    @property
    def items(self) -> int:
        """Items that are not done, taken or not."""
        self._notice()
        return sum(self._queue.waiting_items.values()) + sum(
            out.items for out in self._out.values()
        )

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest came that is not done."""
        known = [out.received_ns for out in self._out.values()]
        if self._queue.oldest is not None:
            known.append(round(self._queue.oldest * 1e9))
        return min(known, default=None)

    @property
    def used(self) -> int:
        """What is not done, as ``sizer`` counts it; bytes where ``queue_size`` is not written."""
        if self._sizer == "items":
            return self.items
        if self._sizer == "requests":
            return self._queue.waiting + len(self._out)
        return self._queue.waiting_bytes + sum(out.nbytes for out in self._out.values())

    @property
    def capacity(self) -> int:
        """What `used` may reach: ``queue_size``, or the size of the whole journal."""
        return self._journal.max_bytes if self._bound is None else self._bound

    async def append(self, batch: Batch, *, pack: bool, hold: bool) -> int:
        """Return the record's id; with ``hold`` it is taken from the start.

        Raises: JournalError; nothing was kept.
        """
        if self._bound is not None and self.used >= self._bound:
            raise JournalFull(f"queue_size ({self._bound} {self._sizer}) is reached")
        received_ns = self._time_ns()
        id = await self._queue.append(batch, pack=pack, hold=hold)
        if hold:
            self._out[id] = _Out(batch.items, batch.nbytes, received_ns)
        return id

    async def take(self) -> Held | None:
        record = await self._queue.take()
        self._notice()
        if record is None:
            return None
        batch = record.batch
        self._out[record.id] = _Out(batch.items, batch.nbytes, record.received_ns)
        return Held(record.id, batch, record.received_ns)

    def done(self, id: int) -> None:
        self._out.pop(id, None)
        self._queue.done(id)

    def put_back(self, id: int) -> None:
        self._out.pop(id, None)
        self._queue.put_back(id)

    async def replace(self, id: int, batches: list[Batch]) -> bool:
        try:
            for batch in batches:
                await self._queue.append(batch, pack=True, hold=False)
        except JournalError:
            return False
        self.done(id)
        return True

    def _notice(self) -> None:
        """Count what the journal gave up by itself."""
        found: dict[str, Mapping[Signal, int]] = {
            "journal_full": self._queue.dropped_items,
            "journal_damaged": self._queue.lost_items,
        }
        for reason, items in found.items():
            before = self._noticed[reason]
            for signal, number in items.items():
                self._outcomes.given_up(signal, number - before.get(signal, 0), reason)
        self._noticed = found
