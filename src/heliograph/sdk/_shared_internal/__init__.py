"""What the official exporters and their kin import from the official SDK's internals."""

from __future__ import annotations

import logging
import time

SECONDS = 20
"""How long a record that repeats the one before it is not passed."""


class DuplicateFilter(logging.Filter):
    """Passes no record that repeats the one before it within `SECONDS`.

    For loggers on the way of log records, where a complaint would otherwise cause the next one.
    """

    _last: tuple[object, ...] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is another one than the last."""
        this = (record.module, record.levelno, record.msg, time.time() // SECONDS)
        repeats, self._last = this == self._last, this
        return not repeats
