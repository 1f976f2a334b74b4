"""Log lines that a flood cannot multiply."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable


class Sparingly:
    """Lets one line a key and interval through; the next one says how many were held back."""

    held_back = 0
    """Lines that were held back, by all of them together."""

    def __init__(
        self, log: logging.Logger, monotonic: Callable[[], float], every: float = 10.0
    ) -> None:
        self._log = log
        self._monotonic = monotonic
        self._every = every
        self._said: dict[Hashable, tuple[float, int]] = {}

    def error(self, key: Hashable, message: str, *, caught: BaseException | None = None) -> None:
        """Data was lost, or somebody must act."""
        self._say(logging.ERROR, key, message, caught)

    def warning(self, key: Hashable, message: str) -> None:
        """Something is odd; nothing was lost."""
        self._say(logging.WARNING, key, message, None)

    def _say(self, level: int, key: Hashable, message: str, caught: BaseException | None) -> None:
        now = self._monotonic()
        last, held = self._said.get(key, (now - self._every, 0))
        if now - last < self._every:
            self._said[key] = (last, held + 1)
            Sparingly.held_back += 1
            return
        self._said[key] = (now, 0)
        if held:
            message = f"{message} ({held} more like this since {now - last:.0f} s ago)"
        self._log.log(level, "%s", message, exc_info=caught)
