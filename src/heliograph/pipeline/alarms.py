"""Many coarse deadlines for the price of one sleeping task.

Almost every alarm is taken back before it rings, so that setting one must cost next to nothing: a
dictionary entry, looked at each tick.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from heliograph.pipeline.component import Clock

T = TypeVar("T")

TICK = 0.25
"""Seconds by which an alarm may ring late."""


class _Bell:
    """Cancels a task."""

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self.task = task
        self.rang = False

    def ring(self) -> None:
        self.rang = True
        if self.task is not None:
            self.task.cancel()


class Alarms:
    """Calls back when a time has come, at most a tick late."""

    def __init__(self, clock: Clock, tick: float = TICK) -> None:
        self._clock = clock
        self._tick = tick
        self._set: dict[int, tuple[float, Callable[[], object]]] = {}
        self._serial = 0
        self._sweeper: asyncio.Task[None] | None = None
        self._next = 0.0
        """When the sweeper looks next."""

    def at(self, due: float, call: Callable[[], object]) -> int:
        """Call when the clock has reached ``due``; return what `off` takes."""
        self._serial += 1
        self._set[self._serial] = (due, call)
        if self._sweeper is None or due < self._next - self._tick:
            if self._sweeper is not None:
                self._sweeper.cancel()
            self._sweeper = asyncio.create_task(self._sweep())
            self._next = self._clock.monotonic()
        return self._serial

    def off(self, alarm: int) -> None:
        """Take an alarm back; one that has rung is gone already."""
        self._set.pop(alarm, None)

    async def bound(self, due: float, work: Awaitable[T], late: Callable[[], Exception]) -> T:
        """Return what ``work`` returns; cancel it when ``due`` has come, and raise ``late()``."""
        bell = _Bell(asyncio.current_task())
        alarm = self.at(due, bell.ring)
        try:
            return await work
        except asyncio.CancelledError:
            if bell.rang and bell.task is not None and not bell.task.uncancel():
                raise late() from None
            raise
        finally:
            self.off(alarm)
            bell.task = None  # its error holds this frame, and this frame would hold it

    async def stop(self) -> None:
        """Take all of them back."""
        self._set.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    async def _sweep(self) -> None:
        while self._set:
            now = self._clock.monotonic()
            earliest = min(due for due, _ in self._set.values())
            self._next = max(earliest, now + self._tick)
            await self._clock.sleep(self._next - now)
            self._next = now = self._clock.monotonic()
            for alarm, (due, call) in list(self._set.items()):
                if due <= now and self._set.pop(alarm, None) is not None:
                    call()
        if self._sweeper is asyncio.current_task():
            self._sweeper = None
