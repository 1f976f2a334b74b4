"""What sends log records on: processors with an exporter, the console, and memory for tests.

Spec: Logs SDK, LogRecordProcessor and LogRecordExporter.
"""

from heliograph.sdk._text import log_text
from heliograph.sdk.logs.export._batch import BatchLogRecordProcessor
from heliograph.sdk.logs.export._simple import (
    ConsoleLogRecordExporter,
    InMemoryLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)

# What these were called before.
ConsoleLogExporter = ConsoleLogRecordExporter
InMemoryLogExporter = InMemoryLogRecordExporter
LogExporter = LogRecordExporter
LogExportResult = LogRecordExportResult

__all__ = [
    "BatchLogRecordProcessor",
    "ConsoleLogExporter",
    "ConsoleLogRecordExporter",
    "InMemoryLogExporter",
    "InMemoryLogRecordExporter",
    "LogExportResult",
    "LogExporter",
    "LogRecordExportResult",
    "LogRecordExporter",
    "SimpleLogRecordProcessor",
    "log_text",
]
