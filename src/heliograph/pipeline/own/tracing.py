"""Traces of the program itself: now and then a batch's way from its receiver to its exporters.

Off unless ``service.telemetry.traces`` names a processor; then one batch in a thousand. Where it is
off, nothing stands between the steps.
"""

from __future__ import annotations

import logging
import random
import time
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

from heliograph.errors import DeliveryError
from heliograph.otlp import Batch
from heliograph.pipeline.component import Consumer
from heliograph.pipeline.own.otlp import attributes
from heliograph.pipeline.own.recent import Recent
from heliograph.pipeline.redaction import redact
from heliograph.pipeline.telemetry import SIGNAL_NAMES

Consume = Callable[[Batch], Coroutine[Any, Any, None]]

INTERNAL, SERVER, CLIENT = 1, 2, 3
_ERROR = 2

_current: ContextVar[tuple[str, str] | None] = ContextVar("heliograph_span", default=None)


class Tracer:
    """Decides which batches are traced, and hands out finished spans as OTLP/JSON.

    Args:
        ratio: the share of batches.
        ended: takes each span.
    """

    def __init__(self, ratio: float, ended: Callable[[dict[str, Any]], None]) -> None:
        self._ratio = ratio
        self._ended = ended
        self.recent = Recent()
        self._random = random.Random()  # noqa: S311 - sampling needs no secrecy

    def root(self, consume: Consume, name: str) -> Consume:
        """Begin a trace for some of the batches that go through."""
        return _Traced(self, consume, name, SERVER, root=True).consume

    def step(self, next: Consumer, name: str, kind: int = INTERNAL) -> Consumer:
        """Make a span of what ``next`` does with a batch that is traced."""
        return _Traced(self, next.consume, name, kind, root=False)

    def begins(self) -> bool:
        """Whether the next batch is traced."""
        return self._random.random() < self._ratio

    def new_id(self, bytes: int) -> str:
        """Return a random id in hexadecimal, never all zeros."""
        return f"{self._random.getrandbits(bytes * 8) or 1:0{bytes * 2}x}"

    def ended(self, span: dict[str, Any]) -> None:
        """Take a finished span."""
        self.recent.add(span)
        self._ended(span)


class _Traced:
    def __init__(
        self, tracer: Tracer, consume: Consume, name: str, kind: int, *, root: bool
    ) -> None:
        self._tracer = tracer
        self._next = consume
        self._name = name
        self._kind = kind
        self._root = root

    def consume(self, batch: Batch) -> Coroutine[Any, Any, None]:
        parent = None if self._root else _current.get()
        if parent is None and not (self._root and self._tracer.begins()):
            return self._next(batch)
        return self._span(batch, parent)

    async def _span(self, batch: Batch, parent: tuple[str, str] | None) -> None:
        trace_id = parent[0] if parent is not None else self._tracer.new_id(16)
        span_id = self._tracer.new_id(8)
        span: dict[str, Any] = {
            "traceId": trace_id,
            "spanId": span_id,
            "parentSpanId": parent[1] if parent is not None else "",
            "name": f"{self._name}/{SIGNAL_NAMES[batch.signal]}",
            "kind": self._kind,
            "startTimeUnixNano": str(time.time_ns()),
            "attributes": attributes({"items": batch.items, "bytes": batch.nbytes}),
        }
        token = _current.set((trace_id, span_id))
        try:
            await self._next(batch)
        except BaseException as error:
            span["status"] = {"code": _ERROR, "message": redact(_reason(error))}
            raise
        finally:
            _current.reset(token)
            span["endTimeUnixNano"] = str(time.time_ns())
            self._tracer.ended(span)


def _reason(error: BaseException) -> str:
    if isinstance(error, DeliveryError):
        return error.reason
    return "the sender has gone" if isinstance(error, CancelledError) else repr(error)


class TraceIds(logging.Filter):
    """Gives log lines the ids of the trace that they are written in."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = _current.get()
        if current is not None:
            record.trace_id, record.span_id = current
        return True
