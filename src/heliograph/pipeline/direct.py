"""Delivering while the sender waits: nothing is kept, an acknowledgement means delivered.

A batch stays at most `PATIENCE`, less if its sender's deadline is nearer; then the sender hears
`Retry` and keeps it. A sender that is cancelled takes its batch with it.
"""

from __future__ import annotations

from collections import deque

from heliograph.errors import Retry
from heliograph.otlp import Batch
from heliograph.pipeline.sending import Sending


class Direct:
    """The way without a journal."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing is held."""

    @property
    def queue_capacity(self) -> int:
        """What ``queue_size`` may reach."""
        return self._sending.room.bound

    @property
    def queue_size(self) -> int:
        """What waits, as ``sizer`` counts it."""
        return self._sending.room.used

    oldest_ns = None
    """Nothing is acknowledged before it is delivered."""

    @property
    def waiting(self) -> int:
        """Items that wait for a slot or for another attempt."""
        return self._sending.room.items

    async def consume(self, batch: Batch) -> None:
        sending = self._sending
        slots, gate = sending.slots, sending.gate
        arrived = sending.now()
        left = deque((batch,))
        attempts = 0
        delay = 0.0
        told = False
        while True:
            if delay or not slots.free or gate.failing:
                await self._wait(batch, delay, arrived, told)
            else:
                slots.free -= 1
            try:
                await sending.attempt(left)
            except Retry as error:
                attempts += 1
                told = bool(error.after)
                delay = self._back_off(batch, error, attempts, arrived)
            else:
                return

    async def _wait(self, batch: Batch, delay: float, arrived: float, told: bool) -> None:
        """Take a place in the waiting room for the back-off and until a slot is free.

        Args:
            told: whether the other side has named the back-off.

        Raises: Retry when the room is full, or the wait would be longer than the sender's.
        """
        sending = self._sending
        now = sending.now()
        delay = max(delay, sending.gate.wait(now))
        leave_by = sending.leave_by(batch, arrived)
        if now + delay > leave_by:
            failure = sending.outcomes.failing
            raise Retry(failure.reason if failure else "the exporter is busy", after=delay)
        if not delay and sending.slots.free:
            sending.slots.free -= 1
            return
        if not sending.room.fits(batch) and not sending.queue.block_on_overflow:
            sending.outcomes.refused(batch)
            raise Retry(f"too much waits for {sending.name} already")
        sending.room.enter(batch)
        try:
            if delay:
                await (sending.clock.sleep if told else sending.rest)(delay)
            if sending.slots.free:
                sending.slots.free -= 1
            else:
                await sending.alarms.bound(leave_by, sending.slots.acquire(), self._busy)
        finally:
            sending.room.leave(batch)

    def _busy(self) -> Retry:
        return Retry(f"{self._sending.name} is busy")

    def _back_off(self, batch: Batch, failure: Retry, attempts: int, arrived: float) -> float:
        """Note a failure that may pass; return the wait before the next attempt.

        Raises: Retry when the sender will not wait that long, or does not want us to.
        """
        sending = self._sending
        retry = sending.retry
        sending.outcomes.transient(failure.reason)
        delay = sending.back_off(attempts, failure)
        end = sending.leave_by(batch, arrived)
        if retry.max_elapsed_time:
            end = min(end, arrived + retry.max_elapsed_time)
        now = sending.now()
        if not retry.enabled or now + delay > end:
            sending.outcomes.sent_back(batch)
            raise Retry(failure.reason, failure.after or sending.gate.wait(now) or None)
        return delay
