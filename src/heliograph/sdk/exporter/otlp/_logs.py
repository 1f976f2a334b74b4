"""What the OTLP exporters of log records have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliograph._core import encode_logs
from heliograph.sdk.exporter.otlp._base import OtlpExporter
from heliograph.sdk.logs.export import LogRecordExporter, LogRecordExportResult

if TYPE_CHECKING:
    from heliograph.sdk.logs import ReadableLogRecord


class OfLogs(OtlpExporter, LogRecordExporter):
    """Exports log records."""

    _signal = "logs"

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send records that are objects."""
        taken = self._sender.send(encode_logs(batch))
        return LogRecordExportResult.SUCCESS if taken else LogRecordExportResult.FAILURE

    _export_objects = export
