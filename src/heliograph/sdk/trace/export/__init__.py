"""What sends spans on: processors with an exporter, and the console.

Spec: Tracing SDK, Span Processor and Span Exporter.
"""

from heliograph.sdk._text import span_text
from heliograph.sdk.trace._processors import SpanProcessor as SpanProcessor  # by others
from heliograph.sdk.trace.export._batch import BatchSpanProcessor
from heliograph.sdk.trace.export._simple import (
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

__all__ = [
    "BatchSpanProcessor",
    "ConsoleSpanExporter",
    "SimpleSpanProcessor",
    "SpanExportResult",
    "SpanExporter",
    "span_text",
]
