"""The contract of exporters, and the exporters and processors that need no queue.

Spec: Tracing SDK, Span Exporter and Simple processor; Tracing Exporters, Standard output.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

from heliograph.sdk._simple import Simple
from heliograph.sdk.trace._processors import SpanProcessor

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from heliograph.sdk.trace._readable import ReadableSpan


class SpanExportResult(Enum):
    """What became of the spans."""

    SUCCESS = 0
    FAILURE = 1


class SpanExporter:
    """Sends spans somewhere. Subclass it, and hand an instance to a processor."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans. Called by one thread at a time."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """Nothing is exported any more."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what the exporter itself still holds; return whether it was sent in time."""
        return True


class SimpleSpanProcessor(Simple, SpanProcessor):
    """Exports each span as it ends, on the thread that ends it.

    Spec: Tracing SDK, Simple processor.
    """

    _thing = "span"
    _items = "spans"

    def __init__(
        self, span_exporter: SpanExporter, *, meter_provider: MeterProvider | None = None
    ) -> None:
        self.span_exporter = span_exporter
        super().__init__(span_exporter, meter_provider)

    def on_end(self, span: ReadableSpan) -> None:
        if not self._is_shut_down and span.context and span.context.trace_flags.sampled:
            self._export(span)


def _line(span: ReadableSpan) -> str:
    return span.to_json() + os.linesep


class ConsoleSpanExporter(SpanExporter):
    """Prints spans.

    Args:
        service_name: not used, as officially.
        out: standard output when not given.
        formatter: makes the text of a span; JSON when not given, `span_text` is made for people.
    """

    def __init__(
        self,
        service_name: str | None = None,
        out: TextIO | None = None,
        formatter: Callable[[Any], str] = _line,
    ) -> None:
        self.service_name = service_name
        self.out = sys.stdout if out is None else out
        self.formatter = formatter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self.out.write(self.formatter(span))
        self.out.flush()
        return SpanExportResult.SUCCESS
