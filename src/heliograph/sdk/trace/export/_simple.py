"""The contract of exporters, and the exporters and processors that need no queue."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,
    attach,
    detach,
    set_value,
)

from heliograph.sdk.trace._processors import SpanProcessor

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from heliograph.sdk.trace._readable import ReadableSpan

_log = logging.getLogger("heliograph.sdk.trace")


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


class SimpleSpanProcessor(SpanProcessor):
    """Exports each span as it ends, on the thread that ends it."""

    def __init__(
        self, span_exporter: SpanExporter, *, meter_provider: MeterProvider | None = None
    ) -> None:
        self.span_exporter = span_exporter
        self._is_shut_down = False

    def on_end(self, span: ReadableSpan) -> None:
        if self._is_shut_down or not (span.context and span.context.trace_flags.sampled):
            return
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            self.span_exporter.export((span,))
        except Exception:
            _log.exception("a span exporter raised")
        finally:
            detach(token)

    def shutdown(self) -> None:
        if not self._is_shut_down:
            self._is_shut_down = True
            self.span_exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.span_exporter.force_flush(timeout_millis) is not False


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
