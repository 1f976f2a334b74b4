"""Delivering what was acknowledged before it was delivered: from the journal, or from memory.

::

    queue ─take─▶ slot ─▶ attempt ─┬─ delivered, rejected, expired ─▶ done
      ▲                            │ Retry
      └──── put_back ◀─ back-off ◀─┘

While the exporter fails, one record at a time asks whether it still does; once it does not, no
back-off is waited for any longer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from heliograph.errors import Reject, Retry
from heliograph.otlp import Batch
from heliograph.pipeline.sending import Sending

LAST = 5.0
"""Seconds for the attempts in flight at the end."""

MOST_RESTING = 1000
"""Records that may wait for another attempt of their own; beyond, nothing new is taken."""


class Record(Protocol):
    """A batch of a queue."""

    @property
    def id(self) -> int: ...
    @property
    def batch(self) -> Batch: ...
    @property
    def received_ns(self) -> int: ...


@dataclass(frozen=True)
class Held:
    """A record in memory."""

    id: int
    batch: Batch
    received_ns: int


class Queue(Protocol):
    """Where acknowledged batches wait: `pipeline.journal.JournalQueue`, or `MemoryQueue`."""

    @property
    def waiting(self) -> int:
        """How many nobody has taken."""

    @property
    def wakes(self) -> list[Callable[[], None]]:
        """Called when something waits that did not before."""

    async def take(self) -> Record | None:
        """Return the oldest that waits."""

    def done(self, id: int) -> None:
        """Forget one that was taken."""

    def put_back(self, id: int) -> None:
        """Let one that was taken wait again."""

    async def replace(self, id: int, batches: list[Batch]) -> bool:
        """Let these wait instead of one that was taken; False when there is no room for them."""


class Pump:
    """Takes records while there are some and the exporter takes them."""

    def __init__(self, sending: Sending, queue: Queue) -> None:
        self._sending = sending
        self._queue = queue
        self._flying: set[asyncio.Task[None]] = set()
        self._unbegun: set[int] = set()
        """Records whose attempt has still to take its first step."""
        self._resting: dict[int, int] = {}
        """Record to the alarm that ends its back-off."""
        self._told: set[int] = set()
        """Of those, the ones whose back-off the other side has named."""
        self._attempts: dict[int, int] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._sending.opened.append(self._reopened)
        self._queue.wakes.append(self._changed.set)
        self._task = asyncio.create_task(self._run())

    @property
    def flying(self) -> set[asyncio.Task[None]]:
        """What is in flight."""
        return self._flying

    async def idle(self) -> None:
        """Return when nothing waits, rests or is in flight."""
        while self._queue.waiting or self._resting or self._flying:
            await self._next_change()

    async def halt(self) -> None:
        """Take nothing more."""
        if self._task is None:
            return
        task, self._task = self._task, None
        self._sending.opened.remove(self._reopened)
        self._queue.wakes.remove(self._changed.set)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def stop(self, within: float = LAST) -> None:
        """Let what is in flight arrive for so long, and put back what is not delivered."""
        await self.halt()
        if self._flying and within:
            await asyncio.wait(self._flying, timeout=within)
        for task in self._flying:
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)
        for id, alarm in self._resting.items():
            self._sending.alarms.off(alarm)
            self._queue.put_back(id)
        self._resting.clear()

    async def _run(self) -> None:
        sending = self._sending
        while True:
            busy = len(self._flying) >= (1 if sending.gate.failing else sending.most_queued)
            if busy or not self._queue.waiting or len(self._resting) >= MOST_RESTING:
                await self._next_change()
                continue
            closed = sending.gate.wait(sending.now())
            if closed:
                await sending.rest(closed)
                continue
            await sending.slots.acquire()
            await self._launch()

    async def _launch(self) -> None:
        """Start an attempt in the slot that we have."""
        record = None
        try:
            record = await self._queue.take()
        finally:
            if record is None:
                self._sending.slots.release()
        if record is not None:
            task = asyncio.create_task(self._carry(record))
            self._flying.add(task)
            self._unbegun.add(record.id)
            task.add_done_callback(partial(self._landed, record.id))

    async def _carry(self, record: Record) -> None:
        self._unbegun.discard(record.id)
        await self.deliver(record)

    def _landed(self, id: int, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        if id in self._unbegun:  # cancelled before its first step
            self._unbegun.discard(id)
            self._sending.slots.release()
            self._queue.put_back(id)
        self._changed.set()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _reopened(self) -> None:
        """The exporter takes what comes: nothing need rest but what the other side wants later."""
        for id in sorted(self._resting.keys() - self._told, reverse=True):
            self._sending.alarms.off(self._resting[id])
            self._rested(id)

    async def deliver(self, record: Record) -> None:
        """Attempt a record that was taken, in the slot that the caller has."""
        sending, id = self._sending, record.id
        left = deque((record.batch,))
        try:
            await sending.attempt(left)
        except Retry as error:
            await self.failed(record, left, error)
        except Reject as error:
            sending.outcomes.rejected(record.batch, error)
            self._forget(id)
        except asyncio.CancelledError:
            self._queue.put_back(id)
            raise
        else:
            self._forget(id)

    async def failed(self, record: Record, left: deque[Batch], error: Retry) -> None:
        """Let what is left of a record wait, unless its time is over."""
        sending, id = self._sending, record.id
        sending.outcomes.transient(error.reason, "what is acknowledged waits")
        most, age = sending.retry.max_elapsed_time, self._age(record)
        if most and age >= most:
            for batch in left:
                sending.outcomes.expired(batch, age, error.reason)
            self._forget(id)
            return
        if left[0] is not record.batch and await self._queue.replace(id, list(left)):
            self._attempts.pop(id, None)
            return
        attempts = self._attempts[id] = self._attempts.get(id, 0) + 1
        due = sending.now() + sending.back_off(attempts, error)
        if error.after:
            self._told.add(id)
        self._resting[id] = sending.alarms.at(due, lambda: self._rested(id))

    def _rested(self, id: int) -> None:
        self._resting.pop(id, None)
        self._told.discard(id)
        self._queue.put_back(id)
        self._changed.set()

    def _forget(self, id: int) -> None:
        self._attempts.pop(id, None)
        self._queue.done(id)

    def _age(self, record: Record) -> float:
        """Seconds since the record came; 0 where the machine's clock was set back."""
        return max(0.0, (self._sending.clock.time_ns() - record.received_ns) / 1e9)
