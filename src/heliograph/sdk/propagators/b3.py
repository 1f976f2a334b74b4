"""B3, in one header or in several; either is extracted by both.

Spec: Propagators API, B3.
"""

from __future__ import annotations

import re
from typing import Any

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)

_TRACE_ID = re.compile(r"[0-9a-fA-F]{16}|[0-9a-fA-F]{32}")
_SPAN_ID = re.compile(r"[0-9a-fA-F]{16}")
_SAMPLED = {"1", "true", "True", "d"}


class B3MultiFormat(TextMapPropagator):
    """Headers ``x-b3-traceid``, ``x-b3-spanid`` and ``x-b3-sampled``; ``x-b3-flags`` is read."""

    SINGLE_HEADER_KEY = "b3"
    TRACE_ID_KEY = "x-b3-traceid"
    SPAN_ID_KEY = "x-b3-spanid"
    SAMPLED_KEY = "x-b3-sampled"
    FLAGS_KEY = "x-b3-flags"

    def extract(
        self, carrier: Any, context: Context | None = None, getter: Any = default_getter
    ) -> Context:
        context = Context() if context is None else context

        def first(name: str) -> str:
            return next(iter(getter.get(carrier, name) or ()), "")

        found = self._single(first(self.SINGLE_HEADER_KEY)) or self._multi(
            first(self.TRACE_ID_KEY),
            first(self.SPAN_ID_KEY),
            "d" if first(self.FLAGS_KEY) == "1" else first(self.SAMPLED_KEY),
        )
        if found is None:
            return context
        return set_span_in_context(NonRecordingSpan(found), context)

    def _single(self, header: str) -> SpanContext | None:
        fields = header.split("-")
        if not 2 <= len(fields) <= 4:
            return None
        # Without a third field the decision is ours: as in the official propagator, sampled.
        return self._multi(fields[0], fields[1], fields[2] if len(fields) > 2 else "1")

    def _multi(self, trace_id: str, span_id: str, sampled: str) -> SpanContext | None:
        if not (_TRACE_ID.fullmatch(trace_id) and _SPAN_ID.fullmatch(span_id)):
            return None
        flags = TraceFlags(TraceFlags.SAMPLED if sampled in _SAMPLED else TraceFlags.DEFAULT)
        found = SpanContext(int(trace_id, 16), int(span_id, 16), True, flags)
        return found if found.is_valid else None

    def inject(
        self, carrier: Any, context: Context | None = None, setter: Any = default_setter
    ) -> None:
        span = get_current_span(context).get_span_context()
        if span.is_valid:
            for name, value in self._headers(span):
                setter.set(carrier, name, value)

    def _headers(self, span: SpanContext) -> list[tuple[str, str]]:
        return [
            (self.TRACE_ID_KEY, format_trace_id(span.trace_id)),
            (self.SPAN_ID_KEY, format_span_id(span.span_id)),
            (self.SAMPLED_KEY, str(int(span.trace_flags.sampled))),
        ]

    @property
    def fields(self) -> set[str]:
        return {self.TRACE_ID_KEY, self.SPAN_ID_KEY, self.SAMPLED_KEY}


class B3SingleFormat(B3MultiFormat):
    """Header ``b3``."""

    def _headers(self, span: SpanContext) -> list[tuple[str, str]]:
        return [(self.SINGLE_HEADER_KEY, "-".join(value for _, value in super()._headers(span)))]

    @property
    def fields(self) -> set[str]:
        return {self.SINGLE_HEADER_KEY}
