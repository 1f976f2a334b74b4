"""Processors, exporters and samplers written for the official SDK work on our providers."""

from __future__ import annotations

import copy
import gc
import logging
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import opentelemetry.sdk.trace as official
import opentelemetry.sdk.trace.export as official_export
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource as OfficialResource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter as OfficialInMemory,
)
from opentelemetry.sdk.trace.sampling import Decision as OfficialDecision
from opentelemetry.sdk.trace.sampling import Sampler as OfficialSampler
from opentelemetry.sdk.trace.sampling import SamplingResult as OfficialResult

from heliograph._core import Batch
from heliograph.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from heliograph.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from heliograph.sdk.trace.sampling import ALWAYS_OFF, AlwaysRecordSampler


class Bytes(SpanExporter):
    """Keeps the spans that a batch processor hands over as bytes."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def export_batch(self, batch: Batch, timeout: float) -> bool:
        request = ExportTraceServiceRequest.FromString(bytes(batch.wire()))
        self.spans += [
            span
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return True


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def found(span: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes}


def test_an_official_processor_adds_what_it_knows(provider: TracerProvider) -> None:
    class FromBaggage(official.SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            for key, value in baggage.get_all(parent_context).items():
                span.set_attribute(key, value)

    exporter = Bytes()
    provider.add_span_processor(FromBaggage())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    with_user = baggage.set_baggage("user", "anna")
    provider.get_tracer("t").start_span("one", context=with_user).end()
    token = context.attach(with_user)
    provider.get_tracer("t").start_span("two").end()
    context.detach(token)
    assert provider.force_flush()
    assert [found(span) for span in exporter.spans] == [{"user": "anna"}] * 2


def test_what_a_processor_redacts_is_redacted_everywhere(provider: TracerProvider) -> None:
    class Redact(official.SpanProcessor):
        def on_end(self, span: Any) -> None:
            span._attributes = {**span.attributes, "card": "***"}
            span._name = "redacted"

    exporter, memory = Bytes(), InMemorySpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.add_span_processor(Redact())
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.get_tracer("t").start_span("card 1234", attributes={"card": "1234"}).end()
    assert provider.force_flush()
    (span,), (view,) = exporter.spans, memory.get_finished_spans()
    assert (span.name, found(span)) == ("redacted", {"card": "***"})
    assert (view.name, dict(view.attributes)) == ("redacted", {"card": "***"})


def test_a_filter_around_the_batch_processor_filters(provider: TracerProvider) -> None:
    class Filter(BatchSpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if span.name != "health":
                super().on_end(span)

    exporter = Bytes()
    provider.add_span_processor(Filter(exporter))
    for name in ("health", "work"):
        provider.get_tracer("t").start_span(name).end()
    assert provider.force_flush()
    assert [span.name for span in exporter.spans] == ["work"]


def test_official_processors_and_exporters_export_our_spans(provider: TracerProvider) -> None:
    simple, batch, ours = OfficialInMemory(), OfficialInMemory(), OfficialInMemory()
    provider.add_span_processor(official_export.SimpleSpanProcessor(simple))
    provider.add_span_processor(official_export.BatchSpanProcessor(batch))
    provider.add_span_processor(BatchSpanProcessor(ours))  # type: ignore[arg-type]
    with provider.get_tracer("t").start_as_current_span("one", attributes={"a": 1}):
        pass
    assert provider.force_flush()
    requests = [encode_spans(one.get_finished_spans()) for one in (simple, batch, ours)]
    assert requests[0] == requests[1] == requests[2]
    (span,) = requests[0].resource_spans[0].scope_spans[0].spans
    assert span.name == "one"


def test_an_official_sampler_and_resource_are_taken() -> None:
    class Named(OfficialSampler):
        def should_sample(  # noqa: PLR0917 - the official signature
            self,
            parent_context: Any,
            trace_id: int,
            name: str,
            kind: Any = None,
            attributes: Any = None,
            links: Any = None,
            trace_state: Any = None,
        ) -> OfficialResult:
            if not name.startswith("keep"):
                return OfficialResult(OfficialDecision.DROP)
            state = trace.TraceState([("sampler", "yes")])
            return OfficialResult(OfficialDecision.RECORD_AND_SAMPLE, {"sampled": "yes"}, state)

        def get_description(self) -> str:
            return "Named"

    exporter = Bytes()
    provider = TracerProvider(
        sampler=Named(),  # type: ignore[arg-type]
        resource=OfficialResource({"service.name": "official"}),  # type: ignore[arg-type]
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    for name in ("keep this", "drop this"):
        provider.get_tracer("t").start_span(name).end()
    provider.shutdown()
    (span,) = exporter.spans
    assert (span.name, found(span), span.trace_state) == (
        "keep this",
        {"sampled": "yes"},
        "sampler=yes",
    )


def test_what_is_only_recorded_reaches_processors_and_no_exporter() -> None:
    seen: list[str] = []

    class See(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            seen.append(span.name)

    exporter = Bytes()
    provider = TracerProvider(sampler=AlwaysRecordSampler(ALWAYS_OFF), shutdown_on_exit=False)
    provider.add_span_processor(See())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    span = provider.get_tracer("t").start_span("one")
    assert span.is_recording()
    assert not span.get_span_context().trace_flags.sampled
    span.end()
    provider.shutdown()
    assert (seen, exporter.spans) == (["one"], [])


def test_on_ending_may_still_change_the_span(provider: TracerProvider) -> None:
    class Late(SpanProcessor):
        def on_ending(self, span: Any) -> None:
            assert span.end_time is not None
            span.set_attribute("late", "yes")

    exporter = Bytes()
    provider.add_span_processor(Late())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    span = provider.get_tracer("t").start_span("one")
    span.end()
    assert not span.is_recording()
    assert provider.force_flush()
    assert found(exporter.spans[0]) == {"late": "yes"}


def test_what_a_processor_raises_stays_out_of_the_program(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError("start")

        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("end")

    exporter = Bytes()
    provider.add_span_processor(Broken())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.get_tracer("t").start_span("one").end()
    assert provider.force_flush()
    assert [span.name for span in exporter.spans] == ["one"]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        "start",
        "end",
    ]


def test_spans_are_what_programs_take_them_for(provider: TracerProvider) -> None:
    span = provider.get_tracer("t").start_span("one", attributes={"a": 1})
    assert isinstance(span, trace.Span)
    assert isinstance(span, ReadableSpan)
    assert span.attributes == {"a": 1}
    span.mine = "an attribute of the program's own"
    assert span.mine == "an attribute of the program's own"
    gone = weakref.ref(span)
    del span
    gc.collect()
    assert gone() is None
    dropped = TracerProvider(sampler=ALWAYS_OFF).get_tracer("t").start_span("two")
    assert isinstance(dropped, trace.NonRecordingSpan)


def test_a_copy_of_a_span_is_complete(provider: TracerProvider) -> None:
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    span = provider.get_tracer("t", "1").start_span("one", attributes={"a": [1]})
    span.add_event("event", {"b": 2})
    span.end()
    (view,) = memory.get_finished_spans()
    copied = copy.deepcopy(view)
    assert copied.to_json() == view.to_json()
    assert encode_spans([copied]) == encode_spans([view])


async def test_a_decorated_coroutine_has_its_span_to_its_end(provider: TracerProvider) -> None:
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("t")

    @tracer.start_as_current_span("coroutine")
    async def work() -> str:
        with tracer.start_as_current_span("inner"):
            return trace.get_current_span().name  # type: ignore[attr-defined, no-any-return]

    assert (await work(), await work()) == ("inner", "inner")
    names = [span.name for span in memory.get_finished_spans()]
    assert names == ["inner", "coroutine"] * 2


async def test_an_async_generator_that_ends_elsewhere_says_nothing(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def numbers() -> Any:
        with provider.get_tracer("t").start_as_current_span("generator"):
            yield 1
            yield 2

    generator = numbers()
    assert await anext(generator) == 1
    context.attach(context.Context())
    import asyncio

    await asyncio.create_task(generator.aclose())
    assert caplog.records == []


@pytest.mark.parametrize("views", [False, True])
def test_a_full_queue_drops_counts_and_says_so_once(
    views: bool, caplog: pytest.LogCaptureFixture
) -> None:
    exporter: Any = InMemorySpanExporter() if views else Bytes()
    for policy, kept in (("drop_newest", ["0", "1", "2", "3"]), ("drop_oldest", None)):
        caplog.clear()
        provider = TracerProvider(shutdown_on_exit=False)
        processor = BatchSpanProcessor(
            exporter,
            max_queue_size=4,
            max_export_batch_size=4,
            when_full=policy,  # type: ignore[arg-type]
        )
        processor._worker.wake = lambda reason: None  # type: ignore[method-assign]
        provider.add_span_processor(processor)
        for number in range(10):
            provider.get_tracer("t").start_span(str(number)).end()
        waiting = processor.waiting
        assert processor.dropped + waiting == 10
        processor._worker.flush(10)
        spans: Sequence[Any] = exporter.get_finished_spans() if views else exporter.spans
        names = [span.name for span in spans]
        if kept:
            assert names == kept
            assert len(caplog.records) == 1
        else:
            assert names[-1] == "9"
        exporter.clear() if views else exporter.spans.clear()


@pytest.mark.parametrize("views", [False, True])
def test_a_blocking_queue_loses_nothing(views: bool) -> None:
    exporter: Any = InMemorySpanExporter() if views else Bytes()
    provider = TracerProvider(shutdown_on_exit=False)
    processor = BatchSpanProcessor(
        exporter, max_queue_size=64, max_export_batch_size=32, when_full="block"
    )
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("t")
    for number in range(2000):
        tracer.start_span(str(number)).end()
    provider.shutdown()
    spans = exporter.get_finished_spans() if views else exporter.spans
    assert [span.name for span in spans] == [str(number) for number in range(2000)]
    assert processor.dropped == 0
