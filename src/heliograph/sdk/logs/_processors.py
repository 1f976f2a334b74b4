"""What happens when log records are emitted.

Spec: Logs SDK, LogRecordProcessor.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from heliograph._core import LogRoute
from heliograph.sdk._concurrent import Concurrent
from heliograph.sdk._fence import failed, fenced

if TYPE_CHECKING:
    from opentelemetry._logs import SeverityNumber
    from opentelemetry.context import Context

    from heliograph.sdk.logs._records import ReadWriteLogRecord
    from heliograph.sdk.util.instrumentation import InstrumentationScope


class LogRecordProcessor:
    """Is told of each emitted record. Subclass it, and hand an instance to
    `LoggerProvider.add_log_record_processor`.

    Spec: Logs SDK, LogRecordProcessor.
    """

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """A record was emitted; it may be changed, which later processors see."""
        raise NotImplementedError

    def enabled(
        self,
        *,
        context: Context | None = None,
        instrumentation_scope: InstrumentationScope | None = None,
        severity_number: SeverityNumber | None = None,
        event_name: str | None = None,
    ) -> bool:
        """Whether a record like this would be taken."""
        return True

    def shutdown(self) -> None:
        """The provider is shut down."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send on what is held; return whether that was done within the time."""
        return True


class SynchronousMultiLogRecordProcessor(LogRecordProcessor):
    """Tells several processors one after the other, in the order in which they were added.

    Where all are batch processors with exporters of ours, records go straight into their queues.
    """

    def __init__(self) -> None:
        self._log_record_processors: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self.route = LogRoute()

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """Add a processor; records that are emitted from now on go to it."""
        with self._lock:
            self._lead((*self._log_record_processors, log_record_processor))

    def remove(self, log_record_processor: LogRecordProcessor) -> None:
        """Take a processor out, without ending it."""
        with self._lock:
            left = (one for one in self._log_record_processors if one is not log_record_processor)
            self._lead(tuple(left))

    def _lead(self, processors: tuple[Any, ...]) -> None:
        self._log_record_processors = processors
        plain = all(_is_plain(one) for one in processors)
        self.route.lead([one._direct for one in processors] if plain else None)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        for processor in self._log_record_processors:
            try:
                processor.on_emit(log_record)
            except Exception as error:
                failed("a log record processor", error)

    def enabled(self, **about: Any) -> bool:
        return any(_is_enabled(one, about) for one in self._log_record_processors)

    def shutdown(self) -> None:
        for processor in self._log_record_processors:
            fenced(processor.shutdown)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        end = time.monotonic() + timeout_millis / 1000
        flushed = True
        for processor in self._log_record_processors:
            left = end - time.monotonic()
            if left <= 0:
                return False
            if fenced(processor.force_flush, int(left * 1000)) is False:
                flushed = False
        return flushed


class ConcurrentMultiLogRecordProcessor(Concurrent, LogRecordProcessor):
    """Tells several processors at a time, on ``max_workers`` threads, and waits for all.

    What one changes of a record the others may see or not.
    """

    def __init__(self, max_workers: int = 2) -> None:
        super().__init__(max_workers)

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """Add a processor."""
        self._add(log_record_processor)

    @property
    def _log_record_processors(self) -> tuple[Any, ...]:
        return self._processors

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self._all([(one.on_emit, log_record) for one in self._processors])

    def enabled(self, **about: Any) -> bool:
        return any(_is_enabled(one, about) for one in self._processors)


def _is_enabled(processor: Any, about: dict[str, Any]) -> bool:
    try:
        enabled = getattr(processor, "enabled", None)
        return enabled is None or bool(enabled(**about))
    except Exception as error:
        failed("a log record processor", error)
        return True


def _is_plain(processor: Any) -> bool:
    """Whether a processor takes bytes, and nobody has changed how it takes them."""
    if getattr(processor, "_export_batches", None) is None:
        return False
    kind, base = type(processor), getattr(processor, "_direct_class", None)
    return base is not None and kind.on_emit is base.on_emit and "on_emit" not in vars(processor)
