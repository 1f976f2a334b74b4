"""When an exporter that fails is tried again: decisions only.

One batch's back-off grows with its own attempts. The exporter's gate closes for all batches when
nothing gets through: after a failure, an attempt that began later failed too, with no success in
between; or when the other side named a delay. So one lost connection among several does not stop
the rest, and a dead backend is not asked by every sender at once. Since only one request asks
whether the gate can open, it asks often, however long the outage: all others wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

CLOSED = 5.0
"""Seconds that a gate stays closed at most, unless the first interval is longer."""


@dataclass(frozen=True)
class Intervals:
    """``retry_on_failure`` in numbers; seconds."""

    initial: float = 5.0
    multiplier: float = 1.5
    spread: float = 0.5
    longest: float = 30.0

    def after(self, attempts: int, random: Callable[[], float]) -> float:
        """Return the wait after so many failed attempts; ``random`` returns [0, 1)."""
        if attempts > 1 and self.multiplier > 1 and self.initial > 0:
            base = self.initial * self.multiplier ** min(attempts - 1, 100)
        else:
            base = self.initial
        base = min(base, self.longest)
        return base * (1 - self.spread + 2 * self.spread * random())


class Gate:
    """Whether an exporter may be tried now."""

    def __init__(self, intervals: Intervals, random: Callable[[], float]) -> None:
        longest = min(intervals.longest, max(intervals.initial, CLOSED))
        self._intervals = replace(intervals, longest=longest)
        self._random = random
        self._suspect: float | None = None
        self._rounds = 0
        self._until = 0.0

    def wait(self, now: float) -> float:
        """Return for how many seconds nothing may be tried."""
        return max(0.0, self._until - now)

    @property
    def failing(self) -> bool:
        """Whether the last that was heard is a failure."""
        return self._suspect is not None

    def failed(self, started: float, now: float, after: float | None) -> None:
        """An attempt that began at ``started`` failed; the other side named ``after`` or not."""
        if after:
            self._until = max(self._until, now + after)
        if self._suspect is None:
            self._suspect = now
        elif started >= self._suspect:
            self._rounds += 1
            closed = self._intervals.after(self._rounds, self._random)
            self._until = max(self._until, now + closed)
            self._suspect = now

    def succeeded(self) -> bool:
        """Something got through; return whether nothing did before."""
        opens = self._rounds > 0
        self._suspect = None
        self._rounds = 0
        self._until = 0.0
        return opens
