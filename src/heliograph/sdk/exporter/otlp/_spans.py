"""What the OTLP exporters of spans have in common.

Spec: OpenTelemetry Protocol Exporter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliograph._core import encode_spans
from heliograph.sdk.exporter.otlp._base import OtlpExporter
from heliograph.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from heliograph.sdk.trace import ReadableSpan


class OfSpans(OtlpExporter, SpanExporter):
    """Exports spans."""

    _signal = "traces"

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans that are objects; recorded ones are already bytes, others are encoded."""
        taken = self._sender.send(encode_spans(spans))
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE

    _export_objects = export
