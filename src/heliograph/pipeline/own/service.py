"""All that ``service.telemetry`` asks for, around one running graph."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Any

from heliograph.otlp import Batch
from heliograph.pipeline.component import Clock, Edge, SystemClock
from heliograph.pipeline.config.model import Push
from heliograph.pipeline.config.model import Telemetry as Config
from heliograph.pipeline.logs import component, level_name, limited
from heliograph.pipeline.own import otlp
from heliograph.pipeline.own.page import MetricsPages
from heliograph.pipeline.own.process import measure
from heliograph.pipeline.own.push import LOG, Latest, Pusher, Queue, Source, target
from heliograph.pipeline.own.resource import resource
from heliograph.pipeline.own.tracing import TraceIds, Tracer
from heliograph.pipeline.redaction import redact
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import Counter, Mishap, Telemetry

_SEVERITY = {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}


class OwnTelemetry:
    """Pages, pushes, the tracer and the last warnings.

    Made before the graph, which counts into ``telemetry`` and traces with ``tracer``.
    """

    def __init__(
        self, config: Config, edge: Edge, log: logging.Logger, clock: Clock | None = None
    ) -> None:
        """Raises: ConfigError when something cannot be pushed as it is written."""
        self.telemetry = Telemetry()
        self.resource = resource(config.resource)
        self._edge = edge
        self._log = log
        self._clock = clock or SystemClock()
        self._level = config.metrics.level
        self._started_ns = time.time_ns()
        self._pushers: list[Pusher] = []
        self._handlers: list[logging.Handler] = []
        measure(self.telemetry)
        pages = config.metrics.pages
        self.pages = MetricsPages(pages, self.telemetry, self._level, self.resource, log)
        self.tracer: Tracer | None = None
        """Makes spans of batches, where somebody wants them."""
        for push in config.metrics.pushes:
            self._add(push, Latest(self._metrics), "metrics")
        for push in config.logs.pushes:
            self._push_logs(push)
        if config.traces.pushes and config.traces.ratio:
            self._trace(config.traces.ratio, config.traces.pushes)

    async def start(self) -> None:
        """Open pages and begin to push. Raises: ConfigError."""
        self._handle(_Recent(self.telemetry))
        self.telemetry.gauge("heliograph_log_lines_suppressed", self._suppressed)
        await self.pages.start()
        for pusher in self._pushers:
            pusher.start()

    async def stop(self) -> None:
        """Push what is there, close the pages; safe without start and twice."""
        await asyncio.gather(*(pusher.stop() for pusher in self._pushers))
        await self.pages.stop()
        limits = limited(self._log)
        while self._handlers:
            handler = self._handlers.pop()
            self._log.removeHandler(handler)
            if limits is not None:
                limits.remove(handler)

    def _suppressed(self) -> int:
        limits = limited(self._log)
        return Sparingly.held_back + (limits.suppressed if limits is not None else 0)

    def _push_logs(self, push: Push) -> None:
        queue = Queue(push, partial(otlp.logs, resource=self.resource), self._dropped("logs"))
        self._add(push, queue, "logs")
        self._handle(_Push(queue))

    def _trace(self, ratio: float, pushes: tuple[Push, ...]) -> None:
        encode = partial(otlp.traces, resource=self.resource)
        queues = [Queue(push, encode, self._dropped("traces")) for push in pushes]
        for push, queue in zip(pushes, queues, strict=True):
            self._add(push, queue, "traces")

        def ended(span: dict[str, Any]) -> None:
            for queue in queues:
                queue.put(span)

        self.tracer = Tracer(ratio, ended)
        limits = limited(self._log)
        if limits is not None:
            limits.addFilter(TraceIds())

    def _add(self, push: Push, source: Source, signal: str) -> None:
        to = target(push, self._edge, self._clock)
        self._pushers.append(Pusher(push, source, to, self._clock, self._dropped(signal)))

    def _dropped(self, signal: str) -> Counter:
        labels = {"otel.signal": signal}
        return self.telemetry.counter("heliograph_own_telemetry_dropped", **labels)

    def _metrics(self) -> Batch:
        return otlp.metrics(
            self.telemetry.readings(),
            self.resource,
            self._level,
            started_ns=self._started_ns,
            now_ns=time.time_ns(),
        )

    def _handle(self, handler: logging.Handler) -> None:
        """Have a handler get what the log writes, within the same limits."""
        self._handlers.append(handler)
        limits = limited(self._log)
        if limits is not None:
            limits.add(handler)
        else:
            self._log.addHandler(handler)


class _Push(logging.Handler):
    """Puts lines where they are pushed from."""

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self._queue = queue

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(LOG):
            return
        level = level_name(record)
        found: dict[str, Any] = {}
        if record.exc_info:
            stack = logging.Formatter().formatException(record.exc_info)
            found["exception.stacktrace"] = redact(stack)
        line = otlp.Line(
            time_ns=int(record.created * 1e9),
            severity=_SEVERITY.get(level, 9),
            level=level,
            message=redact(record.getMessage()),
            component=component(record),
            attributes=found,
            trace_id=getattr(record, "trace_id", ""),
            span_id=getattr(record, "span_id", ""),
        )
        self._queue.put(line)


class _Recent(logging.Handler):
    """Remembers the last warnings and errors for the status."""

    def __init__(self, telemetry: Telemetry) -> None:
        super().__init__(logging.WARNING)
        self._errors = telemetry.errors

    def emit(self, record: logging.LogRecord) -> None:
        message = redact(record.getMessage())
        mishap = Mishap(record.created, level_name(record), component(record), message)
        self._errors.append(mishap)
