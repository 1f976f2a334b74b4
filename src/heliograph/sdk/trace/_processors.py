"""What happens when spans start and end.

Spec: Tracing SDK, Span processor.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from heliograph._core import ExportQueue, Route
from heliograph.sdk._concurrent import Concurrent
from heliograph.sdk._fence import fenced

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from heliograph._core import Span
    from heliograph.sdk.trace._readable import ReadableSpan


class SpanProcessor:
    """Is told of each recorded span. Subclass it, and hand an instance to
    `TracerProvider.add_span_processor`.

    The methods run on the thread that starts or ends the span. What they raise is logged.
    Spec: Tracing SDK, Span Processor.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span has started; it may be changed."""

    def on_ending(self, span: Span) -> None:
        """A span is about to end: its end time is set, and only this thread may still change it."""

    def _on_ending(self, span: Span) -> None:
        self.on_ending(span)

    def on_end(self, span: ReadableSpan) -> None:
        """A span has ended."""

    def shutdown(self) -> None:
        """The provider is shut down."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send on what is held; return whether that was done within the time."""
        return True


class SynchronousMultiSpanProcessor(SpanProcessor):
    """Tells several processors one after the other, in the order in which they were added.

    Spans go straight into the queues of batch processors; the others share one view of a span.
    """

    def __init__(self) -> None:
        self._told: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self.route = Route()

    @property
    def _span_processors(self) -> tuple[Any, ...]:
        return self._told

    @_span_processors.setter
    def _span_processors(self, processors: tuple[Any, ...]) -> None:
        # Packages take out a default processor by setting the official SDK's private name.
        self._told = processors
        lead(self.route, processors)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor; spans that start from now on go to it."""
        with self._lock:
            self._span_processors += (span_processor,)

    def remove(self, span_processor: SpanProcessor) -> None:
        """Take a processor out, without ending it."""
        with self._lock:
            self._span_processors = tuple(
                one for one in self._span_processors if one is not span_processor
            )

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for processor in self._span_processors:
            processor.on_start(span, parent_context=parent_context)

    def on_ending(self, span: Span) -> None:
        for processor in self._span_processors:
            ending(processor)(span)

    def on_end(self, span: ReadableSpan) -> None:
        for processor in self._span_processors:
            processor.on_end(span)

    def shutdown(self) -> None:
        for processor in self._span_processors:
            fenced(processor.shutdown)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        end = time.monotonic() + timeout_millis / 1000
        flushed = True
        for processor in self._span_processors:
            left = end - time.monotonic()
            if left <= 0:
                return False
            if fenced(processor.force_flush, int(left * 1000)) is False:
                flushed = False
        return flushed


class ConcurrentMultiSpanProcessor(Concurrent, SpanProcessor):
    """Tells several processors at a time, on ``num_threads`` threads, and waits for all.

    They run in the context of the caller. Of a span that is about to end they are told one after
    the other: no other thread may change it then.
    """

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor."""
        self._add(span_processor)

    @property
    def _span_processors(self) -> tuple[Any, ...]:
        return self._processors

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._all([(one.on_start, span, parent_context) for one in self._processors])

    def on_ending(self, span: Span) -> None:
        for one in self._processors:
            fenced(ending(one), span)

    def on_end(self, span: ReadableSpan) -> None:
        self._all([(one.on_end, span) for one in self._processors])


def ending(processor: Any) -> Any:
    """Return the method to call before a span ends: ``on_ending``, or what it was called before."""
    mine = getattr(type(processor), "on_ending", None)
    if mine is not None and mine is not SpanProcessor.on_ending:
        return processor.on_ending
    return getattr(processor, "_on_ending", lambda span: None)


def lead(route: Route, processors: tuple[Any, ...]) -> None:
    """Lead spans to these processors, past methods that do nothing."""
    queues: list[ExportQueue] = []
    starts, endings, ends = [], [], []
    for processor in processors:
        queue = getattr(processor, "_direct", None)
        if queue is not None and is_plain(processor):
            queues.append(queue)
            continue
        if not inherits(processor, "on_start"):
            starts.append(processor.on_start)
        if not (inherits(processor, "on_ending") and inherits(processor, "_on_ending")):
            endings.append(ending(processor))
        if not inherits(processor, "on_end"):
            ends.append(processor.on_end)
    route.lead(queues, tuple(starts), tuple(endings), tuple(ends))


def inherits(processor: Any, name: str) -> bool:
    """Whether a processor takes the method that does nothing from `SpanProcessor`."""
    own = getattr(processor, "__dict__", {})
    return name not in own and getattr(type(processor), name, None) is getattr(SpanProcessor, name)


def is_plain(processor: Any) -> bool:
    """Whether nobody has changed how a processor with a queue treats spans."""
    kind, base = type(processor), processor._direct_class
    names = ("on_start", "on_ending", "_on_ending", "on_end")
    return all(
        getattr(kind, name) is getattr(base, name) and name not in vars(processor) for name in names
    )
