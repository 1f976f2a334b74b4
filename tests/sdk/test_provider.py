"""Providers, tracers, samplers and limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import SpanLimits, TracerConfig, TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor, SpanExporter
from heliograph.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    ParentBased,
    ParentBasedTraceIdRatio,
    TraceIdRatioBased,
)


class Requests(SpanExporter):
    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []

    def export_batch(self, batch: Any, timeout: float) -> bool:
        self.requests.append(ExportTraceServiceRequest.FromString(bytes(batch.wire())))
        return True


@pytest.fixture
def exporter() -> Requests:
    return Requests()


@pytest.fixture
def provider(exporter: Requests) -> Iterator[TracerProvider]:
    provider = TracerProvider(resource=Resource({"service.name": "s"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def test_spans_stand_under_one_resource_by_scope(
    provider: TracerProvider, exporter: Requests
) -> None:
    one, other = provider.get_tracer("one", "1"), provider.get_tracer("other")
    assert provider.get_tracer("one", "1") is one
    for tracer in (one, other, one):
        tracer.start_span("span").end()
    assert provider.force_flush()
    (request,) = exporter.requests
    (resource,) = request.resource_spans
    found = [(scope.scope.name, len(scope.spans)) for scope in resource.scope_spans]
    assert found == [("one", 2), ("other", 1)]


def test_threads_lose_nothing(provider: TracerProvider, exporter: Requests) -> None:
    tracer = provider.get_tracer("threads")

    def work(number: int) -> None:
        for turn in range(1000):
            with tracer.start_as_current_span(f"{number}.{turn}"):
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.force_flush()
    names = [
        span.name
        for request in exporter.requests
        for span in request.resource_spans[0].scope_spans[0].spans
    ]
    assert len(names) == len(set(names)) == 8000


def test_a_configurator_turns_scopes_off_and_on(provider: TracerProvider) -> None:
    tracer = provider.get_tracer("noisy")
    provider.set_tracer_configurator(lambda scope: TracerConfig(is_enabled=scope.name != "noisy"))
    assert not tracer.start_span("off").is_recording()
    assert provider.get_tracer("calm").start_span("on").is_recording()
    provider.set_tracer_configurator(lambda scope: TracerConfig())
    assert tracer.start_span("on").is_recording()


def test_a_disabled_sdk_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("one")
    assert not span.is_recording()


@pytest.mark.parametrize(
    ("name", "argument", "description"),
    [
        ("", "", DEFAULT_ON.get_description()),
        ("always_off", "", "AlwaysOffSampler"),
        ("traceidratio", "0.25", "TraceIdRatioBased{0.25}"),
        ("traceidratio", "much", "TraceIdRatioBased{1.0}"),
        ("parentbased_traceidratio", "0.5", ParentBasedTraceIdRatio(0.5).get_description()),
        ("no_such_sampler", "", DEFAULT_ON.get_description()),
    ],
)
def test_the_environment_names_a_sampler(
    monkeypatch: pytest.MonkeyPatch, name: str, argument: str, description: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    sampler = TracerProvider(shutdown_on_exit=False).sampler
    assert sampler.get_description() == description


def sampled(sampler: Any, parent: trace.SpanContext | None = None) -> bool:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    context = parent and trace.set_span_in_context(trace.NonRecordingSpan(parent))
    span = provider.get_tracer("t").start_span("one", context=context or None)
    return bool(span.get_span_context().trace_flags.sampled)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("flags", [0, 1])
def test_native_decisions_are_those_of_the_python_samplers(remote: bool, flags: int) -> None:
    kinds = [ALWAYS_ON, ALWAYS_OFF, TraceIdRatioBased(0.5)]
    for trace_id in (1, 2**63 - 1, 2**63, 2**64 - 1, 2**64 + 5):
        parent = trace.SpanContext(trace_id, 1, remote, trace.TraceFlags(flags))
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        for kind in kinds:
            for sampler in (kind, ParentBased(ALWAYS_ON, *[kind] * 4), ParentBased(kind)):
                result = sampler.should_sample(context, trace_id, "one")
                assert sampled(sampler, parent) is result.decision.is_sampled()


def test_a_sampler_that_is_exchanged_decides_from_then_on() -> None:
    tracer: Any = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    assert tracer.start_span("on").is_recording()
    tracer.sampler = ALWAYS_OFF
    assert not tracer.start_span("off").is_recording()


def test_limits_come_from_arguments_then_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "10")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "5")
    limits = SpanLimits(max_events=3, max_links=SpanLimits.UNSET)
    assert limits.native() == [5, None, 3, None, 10, 10, None]
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "")
    assert SpanLimits().max_span_attributes == 10
    with pytest.raises(ValueError, match="a limit is -2"):
        SpanLimits(max_events=-2)
