"""The batch processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from heliograph._core import Signal, Span
from heliograph.sdk._batching import QUEUE_BYTES, Batching, WhenFull
from heliograph.sdk.trace._processors import SpanProcessor
from heliograph.sdk.trace._readable import SpanView

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from heliograph.sdk.trace._readable import ReadableSpan
    from heliograph.sdk.trace.export._simple import SpanExporter


class BatchSpanProcessor(Batching, SpanProcessor):
    """Exports spans in batches, on a thread of its own that begins with the first span.

    Args:
        span_exporter: where they go. To one of ours they go as bytes, never as objects.
        max_queue_size: spans that may wait; ``OTEL_BSP_MAX_QUEUE_SIZE``, else no limit but
            ``max_queue_bytes``.
        schedule_delay_millis: the longest time between exports; ``OTEL_BSP_SCHEDULE_DELAY``, 5000.
        max_export_batch_size: spans of a batch; ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE``, 512.
        export_timeout_millis: the longest time for one export; ``OTEL_BSP_EXPORT_TIMEOUT``, 30000.
        meter_provider: where metrics about this processor go; the global one where
            ``OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`` is true.
        max_queue_bytes: bytes of spans that may wait.
        when_full: what happens to a span that finds no room: it is dropped, the oldest batch is, or
            the program waits for up to ``block_millis`` and then drops it. Dropped spans are
            counted, and said once.

    Raises: ValueError when a number is not positive, or a batch larger than the queue.
    Spec: Tracing SDK, Batching processor.
    """

    _signal = Signal.TRACES
    _items = "spans"
    _thing = "span"
    _variables = "OTEL_BSP"
    _delay_millis = 5000
    _direct_class: ClassVar[type[BatchSpanProcessor]]

    def __init__(
        self,
        span_exporter: SpanExporter,
        max_queue_size: int | None = None,
        schedule_delay_millis: float | None = None,
        max_export_batch_size: int | None = None,
        export_timeout_millis: float | None = None,
        *,
        meter_provider: MeterProvider | None = None,
        max_queue_bytes: int = QUEUE_BYTES,
        when_full: WhenFull = "drop_newest",
        block_millis: float = 1000,
    ) -> None:
        self.span_exporter = span_exporter
        super().__init__(
            span_exporter,
            max_queue_size=max_queue_size,
            schedule_delay_millis=schedule_delay_millis,
            max_export_batch_size=max_export_batch_size,
            export_timeout_millis=export_timeout_millis,
            max_queue_bytes=max_queue_bytes,
            when_full=when_full,
            block_millis=block_millis,
            meter_provider=meter_provider,
        )

    def on_end(self, span: ReadableSpan) -> None:
        if span.context and span.context.trace_flags.sampled:
            self._direct.add(span)

    def _views(self, taken: list[Any]) -> Sequence[Any]:
        return [SpanView(span) if type(span) is Span else span for span in taken]


BatchSpanProcessor._direct_class = BatchSpanProcessor
