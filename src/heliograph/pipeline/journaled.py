"""Delivering with a journal: an acknowledgement means delivered or on disk.

::

    consume ─▶ slot ─▶ attempt ──────────────▶ delivered, or rejected ─▶ answer
       │         │ spill_after     │ Retry                                  ▲
       │         ▼                 ▼                                        │
       └──────▶ journal ────────────────────────────────────────────────────┘
      behind       │
                   └─▶ Pump ─▶ attempts, until delivered

What an attempt in flight carries when it is spilled is held in the journal, and delivered only if
that attempt fails. While the exporter is behind, or failing, batches go to the journal at once.
Where the journal takes nothing, batches are delivered as without one, while their senders wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass

from heliograph.errors import Reject, Retry
from heliograph.otlp import Batch
from heliograph.pipeline.direct import Direct
from heliograph.pipeline.journal import JournalError
from heliograph.pipeline.kept import Kept
from heliograph.pipeline.pump import LAST, Held, Pump
from heliograph.pipeline.sending import Sending

MARGIN = 1.0
"""Seconds before a sender's deadline at which its batch is spilled."""

PLENTY = 32 * 2**20
"""Bytes that wait from which what comes is compressed, even if all goes well: it will stay."""


@dataclass(eq=False)
class _Item:
    """A batch whose sender waits, or did until the journal had it."""

    batch: Batch
    arrived: float
    received_ns: int
    answer: asyncio.Future[None]
    left: deque[Batch]
    id: int = -1
    """Its record, once it is in the journal and held for the attempt in flight."""
    task: asyncio.Task[None] | None = None
    alarm: int = 0
    flying: bool = False
    spilling: bool = False
    end: _Ended | None = None
    """What became of the attempt, where it ended while the journal was being written."""


@dataclass(frozen=True)
class _Ended:
    """How an attempt ended: without an error it is delivered."""

    error: Retry | Reject | None = None


class Journaled:
    """The way with a journal."""

    def __init__(self, sending: Sending, queue: Kept) -> None:
        self._sending = sending
        self._queue = queue
        self._pump = Pump(sending, queue)
        self._direct = Direct(sending)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def queue_capacity(self) -> int:
        """What ``queue_size`` may reach."""
        return self._queue.capacity

    @property
    def queue_size(self) -> int:
        """What waits, as ``sizer`` counts it."""
        return self._sending.room.used + self._queue.used

    @property
    def waiting(self) -> int:
        """Items that wait for a slot."""
        return self._sending.room.items

    oldest_ns = None
    """Nothing but what is in the journal is acknowledged before it is delivered."""

    async def start(self) -> None:
        self._pump.start()

    async def stop(self) -> None:
        """Let what is in flight arrive; the rest is in the journal, or with its sender."""
        await self._pump.halt()
        if under_way := self._tasks | self._pump.flying:
            await asyncio.wait(under_way, timeout=LAST)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pump.stop(0)

    async def consume(self, batch: Batch) -> None:
        """Return when the other side, or the journal, has it.

        Raises:
            Retry: neither has it, and the journal does not take it.
            Reject: the other side will never take it.
        """
        sending = self._sending
        if not sending.queue.spill_after:
            await self._journal_first(batch)
        elif sending.gate.failing or self._behind(batch):
            if not await self._keep(batch):
                await self._direct.consume(batch)
        else:
            await self._try_first(batch)

    def _behind(self, batch: Batch) -> bool:
        """No slot is free, and there is a backlog already."""
        slots = self._sending.slots
        return not slots.free and bool(self._queue.waiting or not self._sending.room.fits(batch))

    def _stays(self) -> bool:
        """Whether what is journaled now will be there for a while, so that compressing it pays."""
        return self._sending.gate.failing or self._queue.waiting_bytes > PLENTY

    async def _keep(self, batch: Batch) -> bool:
        """Put a batch into the journal, to be delivered later; False when it does not take it."""
        try:
            await self._queue.append(batch, pack=self._stays(), hold=False)
        except JournalError as error:
            self._sending.outcomes.unkept(error.reason)
            return False
        self._sending.outcomes.journaled(batch)
        return True

    async def _journal_first(self, batch: Batch) -> None:
        sending = self._sending
        hold = bool(sending.slots.free and not sending.gate.failing and not self._queue.waiting)
        if hold:
            sending.slots.free -= 1
        received_ns = sending.clock.time_ns()
        try:
            id = await self._queue.append(batch, pack=self._stays(), hold=hold)
        except BaseException as error:
            if hold:
                sending.slots.release()
            if not isinstance(error, JournalError):
                raise
            sending.outcomes.unkept(error.reason)
            await self._direct.consume(batch)
            return
        sending.outcomes.journaled(batch)
        if hold:
            self._spawn(self._pump.deliver(Held(id, batch, received_ns)))

    async def _try_first(self, batch: Batch) -> None:
        sending = self._sending
        now = sending.now()
        answer = asyncio.get_running_loop().create_future()
        item = _Item(batch, now, sending.clock.time_ns(), answer, deque((batch,)))
        spill_at = now + sending.queue.spill_after
        if batch.context.deadline is not None:
            spill_at = min(spill_at, batch.context.deadline - MARGIN)
        item.alarm = sending.alarms.at(spill_at, lambda: self._spawn(self._spill(item)))
        item.task = self._spawn(self._first_attempt(item))
        try:
            await answer
        except asyncio.CancelledError:
            self._abandoned(item)
            raise
        finally:
            sending.alarms.off(item.alarm)

    def _abandoned(self, item: _Item) -> None:
        """The sender has gone, and takes its batch with it unless the journal has it."""
        if item.id < 0 and not item.spilling and item.task is not None:
            item.task.cancel()

    async def _first_attempt(self, item: _Item) -> None:
        sending = self._sending
        if sending.slots.free:
            sending.slots.free -= 1
        else:
            sending.room.enter(item.batch)
            try:
                await sending.slots.acquire()
            finally:
                sending.room.leave(item.batch)
        item.flying = True
        error: Retry | Reject | None = None
        try:
            await sending.attempt(item.left)
        except (Retry, Reject) as caught:
            error = caught
        except asyncio.CancelledError:
            if item.id >= 0:
                self._queue.put_back(item.id)
            _answer(item, Retry("the sending was cancelled"))
            raise
        finally:
            item.flying = False
        if item.spilling:
            item.end = _Ended(error)
        else:
            await self._ended(item, error)

    async def _ended(self, item: _Item, error: Retry | Reject | None) -> None:
        """The attempt is over, and the journal is not being written."""
        held = item.id >= 0
        if isinstance(error, Retry):
            if held:
                record = Held(item.id, item.batch, item.received_ns)
                await self._pump.failed(record, item.left, error)
            else:
                await self._after_failure(item, error)
        elif held:
            self._queue.done(item.id)
            if error is not None:
                self._sending.outcomes.rejected(item.batch, error)
        else:
            _answer(item, error)

    async def _after_failure(self, item: _Item, error: Retry) -> None:
        """The journal takes what failed; else the sender hears of it."""
        self._sending.outcomes.transient(error.reason, "what comes goes to the journal")
        if await self._keep(_whole(item.left)):
            _answer(item, None)
        else:
            self._sending.outcomes.sent_back(item.batch)
            _answer(item, Retry(error.reason, error.after))

    async def _spill(self, item: _Item) -> None:
        """It took too long: have the journal take it, while an attempt in flight goes on."""
        if item.answer.done() or item.spilling:
            return
        item.spilling = True
        hold = item.flying
        if not hold and item.task is not None:
            item.task.cancel()
        try:
            id = await self._queue.append(_whole(item.left), pack=True, hold=hold)
        except JournalError as error:
            self._sending.outcomes.unkept(error.reason)
            await self._unspilled(item, hold, error)
            return
        finally:
            item.spilling = False
        self._sending.outcomes.journaled(item.batch)
        _answer(item, None)
        if not hold:
            return
        item.id = id
        if item.end is not None:
            await self._ended(item, item.end.error)

    async def _unspilled(self, item: _Item, flying: bool, error: JournalError) -> None:
        """The journal does not take it: the sender waits on, or keeps it."""
        if item.end is not None:
            await self._ended(item, item.end.error)
        elif flying:
            leave_by = self._sending.leave_by(item.batch, item.arrived)
            self._sending.alarms.at(leave_by, lambda: self._give_up(item, error))
        else:
            _answer(item, Retry(error.reason))

    def _give_up(self, item: _Item, error: JournalError) -> None:
        if not item.answer.done():
            self._abandoned(item)
            self._sending.outcomes.sent_back(item.batch)
            _answer(item, Retry(error.reason))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _whole(left: deque[Batch]) -> Batch:
    """Return what is left to deliver as one batch."""
    return left[0] if len(left) == 1 else Batch.join(list(left))


def _answer(item: _Item, error: Exception | None) -> None:
    if item.answer.done():
        return
    if error is None:
        item.answer.set_result(None)
    else:
        item.answer.set_exception(error)
