"""The batch processor."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar

from heliograph._core import Batch, ExportQueue, Signal
from heliograph.sdk import environment_variables as names
from heliograph.sdk._worker import Worker
from heliograph.sdk.logs._processors import LogRecordProcessor
from heliograph.sdk.logs._records import readable
from heliograph.sdk.logs.export._simple import LogRecordExporter, LogRecordExportResult
from heliograph.sdk.trace.export._batch import QUEUE_BYTES, WhenFull, _number

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider

    from heliograph.sdk.logs._records import ReadWriteLogRecord

_log = logging.getLogger("heliograph.sdk.logs")

QUEUE_RECORDS = 32768
"""Records that wait for another exporter than ours, unless a limit is given."""


class BatchLogRecordProcessor(LogRecordProcessor):
    """Exports records in batches, on a thread of its own that begins with the first record.

    Args:
        exporter: where they go. To one of ours they go as bytes, never as objects.
        schedule_delay_millis: the longest time between exports; ``OTEL_BLRP_SCHEDULE_DELAY``, 1000.
        max_export_batch_size: records of a batch; ``OTEL_BLRP_MAX_EXPORT_BATCH_SIZE``, 512.
        export_timeout_millis: the longest time for one export; ``OTEL_BLRP_EXPORT_TIMEOUT``, 30000.
        max_queue_size: records that may wait; ``OTEL_BLRP_MAX_QUEUE_SIZE``, else no limit but
            ``max_queue_bytes``.
        max_queue_bytes: bytes of records that may wait.
        when_full: what happens to a record that finds no room: it is dropped, the oldest batch is,
            or the program waits for up to ``block_millis`` and then drops it. Dropped records are
            counted, and said once.

    Raises: ValueError when a number is not positive, or a batch larger than the queue.
    Spec: Logs SDK, Batching processor.
    """

    _direct_class: ClassVar[type[BatchLogRecordProcessor]]

    def __init__(
        self,
        exporter: LogRecordExporter,
        schedule_delay_millis: float | None = None,
        max_export_batch_size: int | None = None,
        export_timeout_millis: float | None = None,
        max_queue_size: int | None = None,
        *,
        meter_provider: MeterProvider | None = None,
        max_queue_bytes: int = QUEUE_BYTES,
        when_full: WhenFull = "drop_newest",
        block_millis: float = 1000,
    ) -> None:
        most = _number(max_queue_size, names.OTEL_BLRP_MAX_QUEUE_SIZE, None)
        delay = _number(schedule_delay_millis, names.OTEL_BLRP_SCHEDULE_DELAY, 1000)
        batch = _number(max_export_batch_size, names.OTEL_BLRP_MAX_EXPORT_BATCH_SIZE, None)
        timeout = _number(export_timeout_millis, names.OTEL_BLRP_EXPORT_TIMEOUT, 30000)
        if batch is None:
            batch = 512 if most is None else min(512, most)
        given = {
            "max_queue_size": most,
            "schedule_delay_millis": delay,
            "max_export_batch_size": batch,
            "max_queue_bytes": max_queue_bytes,
        }
        for name, value in given.items():
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}, not positive")
        if most is not None and batch > most:
            raise ValueError(f"max_export_batch_size is {batch}, more than max_queue_size ({most})")
        self._exporter = exporter
        self._timeout = timeout / 1000
        self._block = block_millis / 1000
        self._said = False
        self._worker = Worker("heliograph-logs", self._step, delay / 1000)
        self._export_batch: Callable[[Batch, float], bool] | None = getattr(
            exporter, "export_batch", None
        )
        is_ours = self._export_batch is not None
        self._direct = ExportQueue(
            Signal.LOGS,
            self._wake,
            batch=int(batch),
            max_bytes=max_queue_bytes,
            max_items=most if is_ours or most is not None else QUEUE_RECORDS,
            full=when_full,
            as_objects=not is_ours,
        )

    @property
    def dropped(self) -> int:
        """Records that found no room, in this process."""
        return self._direct.dropped

    @property
    def waiting(self) -> int:
        """Records that wait to be exported."""
        return len(self._direct)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record: Any = log_record
        if self._export_batch is None or log_record.resource is None:
            record = readable(log_record, copied=True)
        self._direct.add(record)

    def _wake(self, reason: str) -> None:
        """Take a word from the queue."""
        if reason == "room":
            self._wait_for_room()
        elif reason == "full":
            if not self._said:
                self._said = True
                _log.error("the queue of log records is full: they are dropped and counted")
        else:
            self._worker.wake(reason)

    def _wait_for_room(self) -> None:
        if self._worker.is_here():
            return
        self._worker.wake("batch")
        end = time.monotonic() + self._block
        while not self._direct.has_room_again and time.monotonic() < end:
            time.sleep(0.001)

    def _step(self, everything: bool) -> bool | None:
        """Export one batch; None when there is none."""
        if self._export_batch is not None:
            batch = self._direct.take(all=everything)
            return None if batch is None else self._export_batch(batch, self._timeout)
        records = self._direct.take_objects(all=everything)
        if not records:
            return None
        result = self._exporter.export(records)
        return getattr(result, "name", "SUCCESS") == LogRecordExportResult.SUCCESS.name

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export what waits; return whether it was exported within the time (30 s)."""
        return self._worker.flush((30000 if timeout_millis is None else timeout_millis) / 1000)

    def shutdown(self, timeout_millis: int = 30000) -> None:
        """Export what waits, within the time, and shut the exporter down."""
        self._worker.flush(timeout_millis / 1000, last=True)
        self._exporter.shutdown()

    def _before_exit(self) -> None:
        """Export what waits before the interpreter exits, as long as that makes progress."""
        if not self._worker.leave():
            _log.error(
                "%s log records could not be exported before the exit", self.waiting or "some"
            )


BatchLogRecordProcessor._direct_class = BatchLogRecordProcessor
