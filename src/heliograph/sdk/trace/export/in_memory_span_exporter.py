"""Spans kept in memory, for tests.

Spec: Tracing Exporters, In-memory.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliograph.sdk.trace.export._simple import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from heliograph.sdk.trace._readable import ReadableSpan


class InMemorySpanExporter(SpanExporter):
    """Keeps the last ``max_spans`` spans; all of them when None."""

    def __init__(self, max_spans: int | None = None) -> None:
        self._finished_spans: deque[ReadableSpan] = deque(maxlen=max_spans)
        self._stopped = False
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._finished_spans.clear()

    def get_finished_spans(self) -> tuple[ReadableSpan, ...]:
        """Return them, oldest first."""
        with self._lock:
            return tuple(self._finished_spans)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._stopped:
            return SpanExportResult.FAILURE
        with self._lock:
            self._finished_spans.extend(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Keep no more."""
        self._stopped = True
