"""What simple processors have in common: no queue, and no thread of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

from opentelemetry.context import detach

from heliograph.sdk._self_metrics import Reading, observe, processed
from heliograph.sdk._worker import attach_exporting

_log = logging.getLogger("heliograph.sdk")


class Simple:
    """Exports each item on the thread that hands it over; what that raises is logged."""

    _items: ClassVar[str]
    """What messages call the items."""
    _thing: ClassVar[str]
    """What the SDK's metrics about itself call them."""

    def __init__(self, exporter: Any, meter_provider: Any = None) -> None:
        self._exporter = exporter
        self._is_shut_down = False
        self._handed = 0
        self.own = observe(self, meter_provider, f"simple_{self._thing}_processor")

    def own_readings(self) -> Iterator[Reading]:
        """Yield what this SDK reports on itself."""
        return processed(self._thing, self._handed, 0)

    def _export(self, item: Any) -> None:
        self._handed += 1
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
