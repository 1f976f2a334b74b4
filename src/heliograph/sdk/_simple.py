"""What simple processors have in common: no queue, and no thread of their own."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from opentelemetry.context import detach

from heliograph.sdk._worker import attach_exporting

_log = logging.getLogger("heliograph.sdk")


class Simple:
    """Exports each item on the thread that hands it over; what that raises is logged."""

    _items: ClassVar[str]
    """What messages call the items."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._is_shut_down = False

    def _export(self, item: Any) -> None:
        token = attach_exporting()
        try:
            self._exporter.export((item,))
        except Exception:
            _log.exception("an exporter of %s raised", self._items)
        finally:
            detach(token)

    def shutdown(self) -> None:
        """Shut the exporter down; nothing is exported any more."""
        if not self._is_shut_down:
            self._is_shut_down = True
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Let the exporter send what it holds; return whether it was sent within the time."""
        flush = getattr(self._exporter, "force_flush", None)
        return flush is None or flush(timeout_millis) is not False
