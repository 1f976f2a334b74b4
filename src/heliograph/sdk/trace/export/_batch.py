"""The batch processor."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from heliograph._core import Batch, ExportQueue, Signal, Span
from heliograph.sdk import environment_variables as names
from heliograph.sdk._worker import Worker
from heliograph.sdk.trace._processors import SpanProcessor
from heliograph.sdk.trace._readable import SpanView
from heliograph.sdk.trace.export._simple import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider

    from heliograph.sdk.trace._readable import ReadableSpan

_log = logging.getLogger("heliograph.sdk.trace")

QUEUE_BYTES = 32 << 20
"""Bytes that wait for an exporter of ours."""

QUEUE_SPANS = 32768
"""Spans that wait for another exporter, unless a limit is given."""

WhenFull = Literal["drop_newest", "drop_oldest", "block"]


class BatchSpanProcessor(SpanProcessor):
    """Exports spans in batches, on a thread of its own that begins with the first span.

    Args:
        span_exporter: where they go. To one of ours they go as bytes, never as objects.
        max_queue_size: spans that may wait; ``OTEL_BSP_MAX_QUEUE_SIZE``, else no limit but
            ``max_queue_bytes``.
        schedule_delay_millis: the longest time between exports; ``OTEL_BSP_SCHEDULE_DELAY``, 5000.
        max_export_batch_size: spans of a batch; ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE``, 512.
        export_timeout_millis: the longest time for one export; ``OTEL_BSP_EXPORT_TIMEOUT``, 30000.
        max_queue_bytes: bytes of spans that may wait.
        when_full: what happens to a span that finds no room: it is dropped, the oldest batch is, or
            the program waits for up to ``block_millis`` and then drops it. Dropped spans are
            counted, and said once.

    Raises: ValueError when a number is not positive, or a batch larger than the queue.
    Spec: Tracing SDK, Batching processor.
    """

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
        most = _number(max_queue_size, names.OTEL_BSP_MAX_QUEUE_SIZE, None)
        delay = _number(schedule_delay_millis, names.OTEL_BSP_SCHEDULE_DELAY, 5000)
        batch = _number(max_export_batch_size, names.OTEL_BSP_MAX_EXPORT_BATCH_SIZE, None)
        timeout = _number(export_timeout_millis, names.OTEL_BSP_EXPORT_TIMEOUT, 30000)
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
        self.span_exporter = span_exporter
        self._timeout = cast(float, timeout) / 1000
        self._block = block_millis / 1000
        self._said = False
        self._worker = Worker("heliograph-spans", self._step, cast(float, delay) / 1000)
        self._export_batch: Callable[[Batch, float], bool] | None = getattr(
            span_exporter, "export_batch", None
        )
        is_ours = self._export_batch is not None
        self._direct = ExportQueue(
            Signal.TRACES,
            self._wake,
            batch=int(batch),
            max_bytes=max_queue_bytes,
            max_items=most if is_ours or most is not None else QUEUE_SPANS,
            full=when_full,
            as_objects=not is_ours,
        )

    @property
    def dropped(self) -> int:
        """Spans that found no room, in this process."""
        return self._direct.dropped

    @property
    def waiting(self) -> int:
        """Spans that wait to be exported."""
        return len(self._direct)

    def on_end(self, span: ReadableSpan) -> None:
        if span.context and span.context.trace_flags.sampled:
            self._direct.add(span)

    def _wake(self, reason: str) -> None:
        """Take a word from the queue."""
        if reason == "room":
            self._wait_for_room()
        elif reason == "full" and not self._said:
            self._said = True
            _log.error("the queue of spans is full: spans are dropped and counted from now on")
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
        taken = self._direct.take_objects(all=everything)
        if not taken:
            return None
        spans = [SpanView(span) if type(span) is Span else span for span in taken]
        result = self.span_exporter.export(spans)
        return getattr(result, "name", "SUCCESS") == SpanExportResult.SUCCESS.name

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export what waits; return whether it was exported within the time (30 s)."""
        return self._worker.flush((30000 if timeout_millis is None else timeout_millis) / 1000)

    def shutdown(self, timeout_millis: int = 30000) -> None:
        """Export what waits, within the time, and shut the exporter down."""
        self._worker.flush(timeout_millis / 1000, last=True)
        self.span_exporter.shutdown()

    def _before_exit(self) -> None:
        """Export what waits before the interpreter exits, as long as that makes progress."""
        if not self._worker.leave():
            _log.error("%s spans could not be exported before the exit", self.waiting or "some")


BatchSpanProcessor._direct_class = BatchSpanProcessor


def _number(value: Any, variable: str, default: float | None) -> Any:
    """Return what was given, else the variable, else the default."""
    if value is not None:
        return value
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        _log.error("%s is %r, no integer; using %s", variable, text, default)
        return default
