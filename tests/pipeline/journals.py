"""A journal in memory that can be full, slow or broken; the real one is tested in test_journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.journal import JournalError, JournalFull
from heliograph.pipeline.pump import Held
from heliograph.testing import FakeClock


class FakeJournal:
    """One queue, whoever asks."""

    def __init__(self, clock: FakeClock, records: Mapping[int, Batch] | None = None) -> None:
        self.clock = clock
        self.kept: dict[int, Held] = {
            id: Held(id, batch, clock.time_ns()) for id, batch in (records or {}).items()
        }
        self.taken: set[int] = set()
        self.appended: list[Batch] = []
        self.packed: list[bool] = []
        self.full = False
        self.broken = False
        self._gate: asyncio.Event | None = None
        self.wakes: list[Callable[[], None]] = []

    max_bytes = 1 << 30

    def queue(self, name: str) -> FakeJournal:
        assert name == "out"
        return self

    def stall(self) -> None:
        """Let appends wait from now on."""
        self._gate = asyncio.Event()

    def go_on(self) -> None:
        assert self._gate is not None
        self._gate.set()
        self._gate = None

    @property
    def waiting(self) -> int:
        return len(self.kept) - len(self.taken)

    def restored(self) -> dict[Signal, int]:
        return self.waiting_items

    @property
    def _free(self) -> list[Held]:
        return [record for id, record in self.kept.items() if id not in self.taken]

    @property
    def waiting_bytes(self) -> int:
        return sum(record.batch.nbytes for record in self._free)

    @property
    def waiting_items(self) -> dict[Signal, int]:
        return {Signal.TRACES: sum(record.batch.items for record in self._free)}

    @property
    def oldest(self) -> float | None:
        return min((record.received_ns / 1e9 for record in self._free), default=None)

    dropped_items: Mapping[Signal, int] = {}
    lost_items: Mapping[Signal, int] = {}

    async def append(self, batch: Batch, *, pack: bool, hold: bool) -> int:
        await asyncio.sleep(0)
        if self._gate is not None:
            await self._gate.wait()
        if self.full:
            raise JournalFull("the journal is full")
        if self.broken:
            raise JournalError("no space left on device")
        id = max(self.kept, default=0) + len(self.appended) + 1
        self.appended.append(batch)
        self.packed.append(pack)
        self.kept[id] = Held(id, batch, self.clock.time_ns())
        if hold:
            self.taken.add(id)
        else:
            self._wake()
        return id

    def _wake(self) -> None:
        for wake in self.wakes:
            wake()

    async def take(self) -> Held | None:
        await asyncio.sleep(0)
        free = sorted(self.kept.keys() - self.taken)
        if not free:
            return None
        self.taken.add(free[0])
        return self.kept[free[0]]

    def done(self, id: int) -> None:
        self.taken.remove(id)
        self._wake()
        del self.kept[id]

    def put_back(self, id: int) -> None:
        self.taken.remove(id)
