"""The contract of exporters, and the exporters and processors that need no queue.

Spec: Logs SDK, LogRecordExporter and Simple processor; Logs Exporters.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

from opentelemetry.context import get_value

from heliograph.sdk._simple import Simple
from heliograph.sdk._worker import EXPORTING
from heliograph.sdk.logs._processors import LogRecordProcessor
from heliograph.sdk.logs._records import readable

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from heliograph.sdk.logs._records import ReadableLogRecord, ReadWriteLogRecord


class LogRecordExportResult(Enum):
    """What became of the records."""

    SUCCESS = 0
    FAILURE = 1


class LogRecordExporter:
    """Sends records somewhere. Subclass it, and hand an instance to a processor."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send the records. Called by one thread at a time."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """Nothing is exported any more."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what the exporter itself still holds; return whether it was sent in time."""
        return True


class SimpleLogRecordProcessor(Simple, LogRecordProcessor):
    """Exports each record as it is emitted, on the thread that emits it.

    A record that is emitted while one is exported is dropped.

    Spec: Logs SDK, Simple processor.
    """

    _thing = "log"
    _items = "log records"

    def __init__(
        self, exporter: LogRecordExporter, *, meter_provider: MeterProvider | None = None
    ) -> None:
        super().__init__(exporter, meter_provider)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        if not self._is_shut_down and not get_value(EXPORTING):
            self._export(readable(log_record))


def _line(record: ReadableLogRecord) -> str:
    return record.to_json() + os.linesep


class ConsoleLogRecordExporter(LogRecordExporter):
    """Prints records.

    Args:
        out: standard output when not given.
        formatter: makes the text of a record; JSON when not given, `log_text` is made for people.
    """

    def __init__(self, out: TextIO | None = None, formatter: Callable[[Any], str] = _line) -> None:
        self.out = sys.stdout if out is None else out
        self.formatter = formatter

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        for record in batch:
            self.out.write(self.formatter(record))
        self.out.flush()
        return LogRecordExportResult.SUCCESS


class InMemoryLogRecordExporter(LogRecordExporter):
    """Keeps records, for tests."""

    def __init__(self) -> None:
        self._logs: list[ReadableLogRecord] = []
        self._lock = threading.Lock()
        self._stopped = False

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._logs.clear()

    def get_finished_logs(self) -> tuple[ReadableLogRecord, ...]:
        """Return them, oldest first."""
        with self._lock:
            return tuple(self._logs)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        if self._stopped:
            return LogRecordExportResult.FAILURE
        with self._lock:
            self._logs.extend(batch)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Keep no more."""
        self._stopped = True
