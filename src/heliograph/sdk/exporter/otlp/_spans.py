"""What the OTLP exporters of spans have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heliograph._core import Batch, encode_spans
from heliograph.sdk.exporter.otlp._sender import Sender
from heliograph.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from heliograph.sdk.trace import ReadableSpan


class SpansOverOtlp(SpanExporter):
    """Sends spans with a `Sender`."""

    _sender: Sender

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans that are objects; recorded ones are already bytes, others are encoded."""
        taken = self._sender.send(encode_spans(spans))
        return SpanExportResult.SUCCESS if taken else SpanExportResult.FAILURE

    def export_batch(self, batch: Batch, timeout: float) -> bool:
        """Send spans that are bytes; return whether they were taken within so many seconds."""
        return self._sender.send(batch, timeout)

    def shutdown(self, timeout_millis: float = 30000, **kwargs: Any) -> None:
        """Give up what is on its way."""
        self._sender.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is held here."""
        return True
