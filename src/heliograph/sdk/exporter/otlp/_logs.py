"""What the OTLP exporters of log records have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heliograph._core import Batch, encode_logs
from heliograph.sdk.exporter.otlp._sender import Sender
from heliograph.sdk.logs.export import LogRecordExporter, LogRecordExportResult

if TYPE_CHECKING:
    from heliograph.sdk.logs import ReadableLogRecord


class LogsOverOtlp(LogRecordExporter):
    """Sends log records with a `Sender`."""

    _sender: Sender

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send records that are objects."""
        taken = self._sender.send(encode_logs(batch))
        return LogRecordExportResult.SUCCESS if taken else LogRecordExportResult.FAILURE

    def export_batch(self, batch: Batch, timeout: float) -> bool:
        """Send records that are bytes; return whether they were taken within so many seconds."""
        return self._sender.send(batch, timeout)

    def shutdown(self, timeout_millis: float = 30000, **kwargs: Any) -> None:
        """Give up what is on its way."""
        self._sender.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is held here."""
        return True
