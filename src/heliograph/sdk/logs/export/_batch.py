"""The batch processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from heliograph._core import Signal
from heliograph.sdk._batching import QUEUE_BYTES, Batching, WhenFull
from heliograph.sdk.logs._processors import LogRecordProcessor
from heliograph.sdk.logs._records import readable

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from heliograph.sdk.logs._records import ReadWriteLogRecord
    from heliograph.sdk.logs.export._simple import LogRecordExporter


class BatchLogRecordProcessor(Batching, LogRecordProcessor):
    """Exports records in batches, on a thread of its own that begins with the first record.

    Args:
        exporter: where they go. To one of ours they go as bytes, never as objects.
        schedule_delay_millis: the longest time between exports; ``OTEL_BLRP_SCHEDULE_DELAY``, 1000.
        max_export_batch_size: records of a batch; ``OTEL_BLRP_MAX_EXPORT_BATCH_SIZE``, 512.
        export_timeout_millis: the longest time for one export; ``OTEL_BLRP_EXPORT_TIMEOUT``, 30000.
        max_queue_size: records that may wait; ``OTEL_BLRP_MAX_QUEUE_SIZE``, else no limit but
            ``max_queue_bytes``.
        meter_provider: where metrics about this processor go; the global one where
            ``OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`` is true.
        max_queue_bytes: bytes of records that may wait.
        when_full: what happens to a record that finds no room: it is dropped, the oldest batch is,
            or the program waits for up to ``block_millis`` and then drops it. Dropped records are
            counted, and said once.

    Raises: ValueError when a number is not positive, or a batch larger than the queue.
    Spec: Logs SDK, Batching processor.
    """

    _signal = Signal.LOGS
    _items = "log records"
    _thing = "log"
    _variables = "OTEL_BLRP"
    _delay_millis = 1000
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
        super().__init__(
            exporter,
            max_queue_size=max_queue_size,
            schedule_delay_millis=schedule_delay_millis,
            max_export_batch_size=max_export_batch_size,
            export_timeout_millis=export_timeout_millis,
            max_queue_bytes=max_queue_bytes,
            when_full=when_full,
            block_millis=block_millis,
            meter_provider=meter_provider,
        )

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record: Any = log_record
        if self._export_batches is None or log_record.resource is None:
            record = readable(log_record, copied=True)
        self._direct.add(record)


BatchLogRecordProcessor._direct_class = BatchLogRecordProcessor
