"""One exporter's attempts: so many at a time, a time-out each, parts of what is too large."""

from __future__ import annotations

import asyncio
from collections import deque

from heliograph.errors import Reject, Retry, TooLarge
from heliograph.otlp import Batch
from heliograph.pipeline.alarms import Alarms
from heliograph.pipeline.component import Clock, Exporter
from heliograph.pipeline.outcomes import Outcomes, passing

ANY_NUMBER = 1 << 40
"""Slots where concurrency is not bounded."""


class Slots:
    """So many at a time; whoever waited longest goes next."""

    def __init__(self, number: int) -> None:
        self.free = number
        self._turns: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Return with a slot."""
        if self.free:
            self.free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Hand the slot to whoever waited longest."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1


class Attempts:
    """Tries batches, and says what became of them in the words of the contract.

    Args:
        timeout: seconds for one attempt; 0 for no bound.
    """

    def __init__(
        self,
        exporter: Exporter,
        outcomes: Outcomes,
        clock: Clock,
        alarms: Alarms,
        *,
        timeout: float,
    ) -> None:
        self._export = exporter.consume
        self._outcomes = outcomes
        self._now = clock.monotonic
        self._alarms = alarms
        self._timeout = timeout
        self.in_flight = 0

    async def run(self, left: deque[Batch]) -> None:
        """Deliver all batches of ``left``; each that the other side has, or never will, leaves it.

        A batch that is too large for the other side is cut in half, down to single items; a part
        that is rejected is dropped and counted while the others go on.

        Raises:
            Retry: what is in ``left`` may be sent again.
            Reject: the batch, whole, will never be taken.
        """
        whole = len(left) == 1
        while left:
            batch = left[0]
            try:
                lost = await self._once(batch)
            except Reject as error:
                left.popleft()
                if isinstance(error, TooLarge) and batch.items > 1:
                    self._outcomes.cut(batch, error)
                    left.extendleft(reversed(batch.split(items=(batch.items + 1) // 2)))
                    whole = False
                elif whole:
                    raise
                else:
                    self._outcomes.rejected(batch, error)
            else:
                left.popleft()
                self._outcomes.sent(batch, lost)

    async def _once(self, batch: Batch) -> int:
        """Try once; return how many items the other side did not take.

        Raises: Retry also when the exporter takes longer than the time-out; Reject for a bug.
        """
        self.in_flight += 1
        try:
            if not self._timeout:
                return await self._export(batch) or 0
            due = self._now() + self._timeout
            return await self._alarms.bound(due, self._export(batch), self._too_late) or 0
        except (Retry, Reject):
            raise
        except Exception as error:
            # No name for what is raised: its traceback has this frame, which would hold it.
            raise passing(error) or self._outcomes.broken(batch, error) from error
        finally:
            self.in_flight -= 1

    def _too_late(self) -> Retry:
        return Retry(f"no answer within {self._timeout:g} s")
