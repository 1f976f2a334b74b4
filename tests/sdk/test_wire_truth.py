"""The same program against this SDK and the official one arrives as the same OTLP.

What differs, because the specification says so, is in `differences`, and:
- bytes are cut to the limit of length, and so is the text of values that are converted;
- a new attribute above the limit is discarded (the official SDK drops the oldest).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import opentelemetry.sdk.trace as official
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource as OfficialResource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor as OfficialSimple
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter as OfficialInMemory,
)

from heliograph import _core
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import SpanLimits, TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from heliograph.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk.differences import as_specified, without_what_only_we_tell
from sdk.generated import Clock, Ids, run

RESOURCE = {"service.name": "truth", "list": [1, 2]}
SCOPE = ("scope", "1.2", "https://schema", {"scope": "attribute"})


class Bytes(SpanExporter):
    """Keeps what a batch processor hands over as bytes."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []

    def export_batch(self, batch: _core.Batch, timeout: float) -> bool:
        self.batches.append(bytes(batch.wire()))
        return True


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    _core.hold_time(None)


def theirs(
    monkeypatch: pytest.MonkeyPatch,
    program: Callable[[trace.Tracer, Clock], None],
    **limits: int,
) -> ExportTraceServiceRequest:
    now = [0]
    monkeypatch.setattr(official, "time_ns", lambda: now[0])
    exporter = OfficialInMemory()
    provider = official.TracerProvider(
        resource=OfficialResource(RESOURCE, "https://resource"),
        id_generator=Ids(),  # type: ignore[arg-type]
        span_limits=official.SpanLimits(**limits),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(OfficialSimple(exporter))
    program(provider.get_tracer(*SCOPE), Clock(lambda nanos: now.__setitem__(0, nanos)))
    return encode_spans(exporter.get_finished_spans())


def ours(
    program: Callable[[trace.Tracer, Clock], None], *, views: bool, **limits: int
) -> tuple[ExportTraceServiceRequest, InMemorySpanExporter]:
    exporter, memory = Bytes(), InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource(RESOURCE, "https://resource"),
        id_generator=Ids(),  # type: ignore[arg-type]
        span_limits=SpanLimits(**limits),
        shutdown_on_exit=False,
    )
    processor = BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    if views:
        provider.add_span_processor(SimpleSpanProcessor(memory))
    program(provider.get_tracer(*SCOPE), Clock(_core.hold_time))
    assert processor.force_flush()
    provider.shutdown()
    request = ExportTraceServiceRequest()
    for batch in exporter.batches:
        request.MergeFromString(batch)
    return request, memory


@pytest.mark.official
@pytest.mark.parametrize("chunk", range(8))
def test_generated_programs_arrive_the_same(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    for seed in range(chunk * 50, chunk * 50 + 50):
        compare(monkeypatch, seed)


@pytest.mark.slow
def test_thousands_of_generated_programs_arrive_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(1000, 5000):
        compare(monkeypatch, seed)


def compare(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    def program(tracer: trace.Tracer, clock: Clock) -> None:
        run(seed, tracer, clock)

    def shown(tracer: trace.Tracer, clock: Clock) -> None:
        run(seed, tracer, clock, as_specified)

    expected = str(theirs(monkeypatch, shown))
    found, _ = ours(program, views=False)
    assert str(without_what_only_we_tell(found)) == expected, seed
    # The official exporter takes our views, but for the values that it never takes.
    _, memory = ours(shown, views=True)
    views = encode_spans(memory.get_finished_spans())
    assert str(without_what_only_we_tell(views)) == expected, f"views, {seed}"
    _, memory = ours(program, views=True)
    spans = memory.get_finished_spans()
    for span in spans:
        # Parts that were taken are encoded anew.
        assert span.attributes is not None
        assert span.events is not None
        assert span.links is not None
    again = ExportTraceServiceRequest.FromString(bytes(_core.encode_spans(spans).wire()))
    assert str(without_what_only_we_tell(again)) == expected, f"encoded anew, {seed}"


LIMITS = {"max_events": 2, "max_links": 1, "max_attribute_length": 3}


@pytest.mark.official
@pytest.mark.parametrize("seed", range(3))
def test_limits_of_entries_and_text_are_the_same(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    def program(tracer: trace.Tracer, clock: Clock) -> None:
        links = [trace.Link(trace.SpanContext(1, n, False), {"l": "long"}) for n in (1, 2)]
        with tracer.start_as_current_span("limited", links=links) as span:
            for number in range(seed + 2):
                clock.step()
                span.add_event(f"event {number}", {"text": "äöüß", "list": ["abcd", 1]})
            span.set_attribute("a", "abcdef")

    expected = theirs(monkeypatch, program, **LIMITS)
    assert str(without_what_only_we_tell(ours(program, views=False, **LIMITS)[0])) == str(expected)


def only_span(program: Callable[[Any], None], **limits: int) -> Any:
    def wrapped(tracer: trace.Tracer, clock: Clock) -> None:
        with tracer.start_as_current_span("one") as span:
            program(span)

    request, _ = ours(wrapped, views=False, **limits)
    (span,) = request.resource_spans[0].scope_spans[0].spans
    return span


def attributes_of(span: Any) -> dict[str, Any]:
    return {pair.key: pair.value for pair in span.attributes}


def test_a_new_attribute_above_the_limit_is_discarded() -> None:
    def program(span: Any) -> None:
        for key in "abcab":
            span.set_attribute(key, key)

    span = only_span(program, max_span_attributes=2)
    assert [pair.key for pair in span.attributes] == ["a", "b"]
    assert span.dropped_attributes_count == 1


def test_values_that_otlp_cannot_carry_are_told_as_text() -> None:
    def program(span: Any) -> None:
        span.set_attributes({"big": 2**64, "small": -(2**63) - 1, "lone": "a\ud800b"})
        span.update_name("\ud800")

    span = only_span(program)
    found = attributes_of(span)
    assert found["big"].string_value == str(2**64)
    assert found["small"].string_value == str(-(2**63) - 1)
    assert found["lone"].string_value == "a?b"
    assert span.name == "?"


def test_bytes_are_cut_and_nesting_ends() -> None:
    deep: list[Any] = []
    deep.append(deep)

    def program(span: Any) -> None:
        span.set_attribute("bytes", b"abcdef")
        span.set_attribute("deep", deep)

    assert attributes_of(only_span(program, max_attribute_length=3))["bytes"].bytes_value == b"abc"


def test_what_a_program_changes_afterwards_is_not_seen() -> None:
    values = [1]

    def program(span: Any) -> None:
        span.set_attribute("list", values)
        values.append(2)

    found = attributes_of(only_span(program))["list"].array_value.values
    assert [one.int_value for one in found] == [1]


def test_numbers_that_are_equal_keep_their_kinds() -> None:
    def program(span: Any) -> None:
        span.set_attributes({"int": 1, "float": 1.0, "bool": True})

    found = attributes_of(only_span(program))
    kinds = [found[key].WhichOneof("value") for key in ("int", "float", "bool")]
    assert kinds == ["int_value", "double_value", "bool_value"]


def test_flags_and_the_trace_state_of_links_are_told() -> None:
    state = trace.TraceState([("vendor", "x")])
    linked = trace.SpanContext(1, 2, True, trace.TraceFlags(1), state)

    def program(span: Any) -> None:
        span.add_link(linked)

    span = only_span(program)
    assert span.flags == 0x101
    assert span.links[0].flags == 0x301
    assert span.links[0].trace_state == "vendor=x"
