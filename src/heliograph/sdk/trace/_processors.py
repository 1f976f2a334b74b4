"""What happens when spans start and end."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from heliograph._core import ExportQueue, Route, fork_generation

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from opentelemetry.context import Context

    from heliograph._core import Span
    from heliograph.sdk.trace._readable import ReadableSpan

_log = logging.getLogger("heliograph.sdk.trace")


class SpanProcessor:
    """Is told of each recorded span. Subclass it, and hand an instance to
    `TracerProvider.add_span_processor`.

    The methods run on the thread that starts or ends the span. What they raise is logged.
    Spec: Tracing SDK, Span Processor.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span has started; it may be changed."""

    def on_ending(self, span: Span) -> None:
        """A span is about to end: its end time is set, and it may still be changed."""

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
        self._span_processors: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self.route = Route()

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor; spans that start from now on go to it."""
        with self._lock:
            self._span_processors += (span_processor,)
            lead(self.route, self._span_processors)

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


class ConcurrentMultiSpanProcessor(SpanProcessor):
    """Tells several processors at a time, on ``num_threads`` threads, and waits for all."""

    def __init__(self, num_threads: int = 2) -> None:
        self._span_processors: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self._threads = num_threads
        self._executor: ThreadPoolExecutor | None = None
        self._generation = 0

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor."""
        with self._lock:
            self._span_processors += (span_processor,)

    def _all(self, calls: list[Any], timeout: float | None = None) -> list[Any]:
        """Run the calls; return what those gave that were done in time."""
        from concurrent.futures import ThreadPoolExecutor, wait  # noqa: PLC0415

        if self._executor is None or self._generation != fork_generation():
            self._generation = fork_generation()
            self._executor = ThreadPoolExecutor(self._threads, "heliograph-processors")
        try:
            futures = [self._executor.submit(fenced, *call) for call in calls]
        except RuntimeError:
            # The interpreter is shutting down and starts no threads any more.
            return [fenced(*call) for call in calls]
        done = wait(futures, timeout).done
        return [future.result() for future in futures if future in done]

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._all([(one.on_start, span, parent_context) for one in self._span_processors])

    def on_ending(self, span: Span) -> None:
        self._all([(ending(one), span) for one in self._span_processors])

    def on_end(self, span: ReadableSpan) -> None:
        self._all([(one.on_end, span) for one in self._span_processors])

    def shutdown(self) -> None:
        self._all([(one.shutdown,) for one in self._span_processors])

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        calls = [(one.force_flush, timeout_millis) for one in self._span_processors]
        found = self._all(calls, timeout_millis / 1000)
        return len(found) == len(calls) and not any(one is False for one in found)


def ending(processor: Any) -> Any:
    """Return the method to call before a span ends: ``on_ending``, or what it was called before."""
    mine = getattr(type(processor), "on_ending", None)
    if mine is not None and mine is not SpanProcessor.on_ending:
        return processor.on_ending
    return getattr(processor, "_on_ending", lambda span: None)


def fenced(call: Any, *arguments: Any) -> Any:
    """Call; log what is raised and return False then."""
    try:
        return call(*arguments)
    except Exception:
        _log.exception("a span processor raised")
        return False


def lead(route: Route, processors: tuple[Any, ...]) -> None:
    """Lead spans to these processors, past methods that do nothing."""
    queues: list[ExportQueue] = []
    starts, endings, ends = [], [], []
    for processor in processors:
        queue = getattr(processor, "_direct", None)
        if queue is not None and is_plain(processor):
            queues.append(queue)
            continue
        kind = type(processor)
        if not inherits(kind, "on_start"):
            starts.append(processor.on_start)
        if not (inherits(kind, "on_ending") and inherits(kind, "_on_ending")):
            endings.append(ending(processor))
        if not inherits(kind, "on_end"):
            ends.append(processor.on_end)
    route.lead(queues, tuple(starts), tuple(endings), tuple(ends))


def inherits(kind: type, name: str) -> bool:
    """Whether a class takes the method that does nothing from `SpanProcessor`."""
    return getattr(kind, name, None) is getattr(SpanProcessor, name)


def is_plain(processor: Any) -> bool:
    """Whether nobody has changed how a processor with a queue treats spans."""
    kind, base = type(processor), processor._direct_class
    names = ("on_start", "on_ending", "_on_ending", "on_end")
    return all(
        getattr(kind, name) is getattr(base, name) and name not in vars(processor) for name in names
    )
