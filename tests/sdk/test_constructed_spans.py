"""Spans that no tracer starts, as tests of exporters and propagators make them."""

from __future__ import annotations

import pytest
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from heliograph.sdk.trace import _Span as Constructed
from heliograph.sdk.util.instrumentation import InstrumentationScope

CONTEXT = SpanContext(1, 2, False, TraceFlags(1))
PARENT = SpanContext(1, 3, True, TraceFlags(1))


class Told(SpanProcessor):
    def __init__(self) -> None:
        self.told: list[str] = []

    def on_start(self, span: object, parent_context: object = None) -> None:
        self.told.append(f"start in {parent_context}")

    def on_end(self, span: ReadableSpan) -> None:
        self.told.append(f"end of {span.name} {span.start_time}-{span.end_time}")


def test_a_span_has_the_parts_that_it_is_made_of() -> None:
    resource = Resource({"a": 1})
    scope = InstrumentationScope("scope", "1")
    span = Constructed(
        "name",
        CONTEXT,
        PARENT,
        resource=resource,
        attributes={"key": "value"},
        events=[Event("event", {"e": 1}, 7)],
        links=[Link(PARENT, {"l": 1})],
        kind=SpanKind.CLIENT,
        instrumentation_scope=scope,
    )
    assert (span.name, span.context, span.parent) == ("name", CONTEXT, PARENT)
    assert span.get_span_context() is CONTEXT
    assert (span.resource, span.instrumentation_scope) == (resource, scope)
    assert (dict(span.attributes), span.kind) == ({"key": "value"}, SpanKind.CLIENT)
    assert [(one.name, one.timestamp, dict(one.attributes)) for one in span.events] == [
        ("event", 7, {"e": 1})
    ]
    assert [(one.context, dict(one.attributes)) for one in span.links] == [(PARENT, {"l": 1})]
    assert (span.start_time, span.end_time) == (None, None)


def test_its_processor_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    span = Constructed("name", CONTEXT, span_processor=told)
    span.start(5, "context")
    span.start(6)
    span.end(9)
    assert told.told == ["start in context", "end of name 5-9"]
    assert caplog.messages == ["start was called on a span that has started"]


def test_one_that_ends_before_it_starts_has_no_length() -> None:
    span = Constructed("name", CONTEXT)
    span.end(9)
    assert (span.start_time, span.end_time) == (9, 9)
    assert span.instrumentation_scope is None
    assert span.instrumentation_info is None


def test_it_has_no_limits_unless_they_are_given() -> None:
    many = {str(number): number for number in range(200)}
    assert len(Constructed("name", CONTEXT, attributes=many).attributes) == 200
    limited = Constructed("name", CONTEXT, attributes=many, limits=SpanLimits())
    assert (len(limited.attributes), limited.dropped_attributes) == (128, 72)


def test_spans_of_a_tracer_are_of_the_same_class() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    assert type(provider.get_tracer("t").start_span("s")) is Constructed


def test_a_parent_is_the_object_that_was_asked_for() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("parent") as parent:
        child = tracer.start_span("child")
    assert child.parent is parent.get_span_context()  # type: ignore[attr-defined]
