"""Spans that no tracer starts: ``_Span(name, context, …)`` and then ``start``.

Tests of exporters and propagators make them, with the official SDK's class of this name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Link, SpanContext, SpanKind

from heliograph._core import Span
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace._limits import SpanLimits
from heliograph.sdk.trace._processors import SpanProcessor
from heliograph.sdk.trace._provider import native_scope, route_to
from heliograph.sdk.trace._readable import Event
from heliograph.sdk.trace.sampling import Sampler
from heliograph.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

UNLIMITED = SpanLimits(*[SpanLimits.UNSET] * 8)
"""What holds where nobody says, as in the official constructor."""


def construct(
    cls: type[Span],
    name: str,
    context: SpanContext,
    parent: SpanContext | None = None,
    sampler: Sampler | None = None,
    trace_config: None = None,
    resource: Resource | None = None,
    attributes: Attributes = None,
    events: Iterable[Event] | None = None,
    links: Sequence[Link] = (),
    kind: SpanKind = SpanKind.INTERNAL,
    span_processor: SpanProcessor | None = None,
    instrumentation_info: InstrumentationInfo | None = None,
    record_exception: bool = True,
    set_status_on_exception: bool = True,
    limits: SpanLimits = UNLIMITED,
    instrumentation_scope: InstrumentationScope | None = None,
    *,
    record_end_metrics: Callable[[], None] | None = None,
) -> Any:
    """Make a span from its parts, for `Span.__new__`; the parameters are the official ones.

    ``sampler``, ``trace_config`` and ``record_end_metrics`` change nothing.
    """
    resource = Resource.create({}) if resource is None else resource
    span = Span.unstarted(
        name,
        context,
        parent,
        kind,
        native_scope(resource, instrumentation_scope or InstrumentationScope("", "")),
        (resource, instrumentation_scope),
        route_to(span_processor or SpanProcessor()),
        limits.native(),
        (record_exception, set_status_on_exception),
    )
    span.set_attributes(attributes or {})
    for event in events or ():
        span.add_event(event.name, event.attributes, event.timestamp)
    for link in links or ():
        span.add_link(link.context, link.attributes)
    return span
