"""What the SDK reports on itself: ``otel.sdk.*``."""

from __future__ import annotations

import inspect
import logging
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from exporters.backends import Answer, GrpcBackend, HttpBackend
from opentelemetry import metrics, trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.semconv._incubating.metrics import otel_metrics as official
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from heliograph.sdk import _self_metrics
from heliograph.sdk.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from heliograph.sdk.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from heliograph.sdk.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from heliograph.sdk.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from heliograph.sdk.logs import LoggerProvider, LoggingHandler
from heliograph.sdk.logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExportResult,
)
from heliograph.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from heliograph.sdk.trace.sampling import Decision, Sampler, SamplingResult

SWITCH = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
DROPPED = {"error.type": "queue_full"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


class Watched:
    """A meter provider, and what was reported to it."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def values(self, name: str, drop: str = "otel.component.|server.") -> list[tuple[Any, Any]]:
        """Return the values of a metric with what their attributes are, most of them left out."""
        found = []
        for point in self.points(name):
            attributes = {
                key: value for key, value in point.attributes.items() if not re.match(drop, key)
            }
            value = point.value if hasattr(point, "value") else point.count
            found.append((value, attributes))
        return found


class Bytes:
    """Takes bytes, as exporters of ours do."""

    def export_batch(self, batch: Any, timeout: float) -> bool:
        return True

    def shutdown(self) -> None: ...


def test_all_metrics_of_the_conventions_are_there_with_their_kinds_and_units() -> None:
    wanted = {}
    for name, make in inspect.getmembers(official, inspect.isfunction):
        source = inspect.getsource(make)
        found = re.search(r"meter\.create_(\w+)\(\s*name=(OTEL_SDK_\w+)", source)
        if found and "eprecated" not in str(make.__doc__) and "_ended" not in name:
            unit = re.search(r'unit="(.+)"', source)
            assert unit
            wanted[getattr(official, found[2])] = (found[1], unit[1])
    ours = {name: (kind, unit) for name, (kind, unit, _) in _self_metrics._OBSERVED.items()}
    ours |= dict.fromkeys(_self_metrics._DURATIONS, ("histogram", "s"))
    assert ours == wanted
    assert len(ours) == 17


def fill_spans(processor: Any, count: int) -> Any:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    for number in range(count):
        provider.get_tracer("t").start_span(str(number)).end()
    return provider


def fill_logs(processor: Any, count: int) -> Any:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    for number in range(count):
        provider.get_logger("t").emit(body=str(number))
    return provider


@pytest.mark.parametrize("policy", ["drop_newest", "drop_oldest", "block"])
@pytest.mark.parametrize("as_objects", [False, True])
@pytest.mark.parametrize(
    ("thing", "make", "fill", "memory"),
    [
        ("span", BatchSpanProcessor, fill_spans, InMemorySpanExporter),
        ("log", BatchLogRecordProcessor, fill_logs, InMemoryLogRecordExporter),
    ],
)
def test_a_full_queue_counts_what_it_drops_and_says_so_once(
    thing: str,
    make: Any,
    fill: Any,
    memory: Any,
    *,
    as_objects: bool,
    policy: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched()
    exporter = memory() if as_objects else Bytes()
    processor = make(
        exporter,
        max_queue_size=4,
        max_export_batch_size=2,
        when_full=policy,
        block_millis=1,
        meter_provider=watched.meters,
    )
    # Nobody exports.
    processor._worker.wake = lambda reason: None
    fill(processor, 10)
    waiting, dropped = processor.waiting, processor.dropped
    assert dropped > 0
    assert waiting + dropped == 10

    prefix = f"otel.sdk.processor.{thing}"
    assert watched.values(f"{prefix}.queue.capacity") == [(4, {})]
    assert watched.values(f"{prefix}.queue.size") == [(waiting, {})]
    assert watched.values(f"{prefix}.processed") == [(0, {}), (dropped, DROPPED)]

    assert processor._worker.flush(10)
    assert watched.values(f"{prefix}.queue.size") == [(0, {})]
    assert watched.values(f"{prefix}.processed") == [(waiting, {}), (dropped, DROPPED)]
    [point, *_] = watched.points(f"{prefix}.processed")
    assert point.attributes["otel.component.type"] == f"batching_{thing}_processor"
    kind, _, number = point.attributes["otel.component.name"].partition("/")
    assert (kind, number.isdigit()) == (f"batching_{thing}_processor", True)

    full = [record for record in caplog.records if "is full" in record.getMessage()]
    assert len(full) == 1


def test_a_queue_that_is_bounded_by_bytes_has_no_capacity() -> None:
    watched = Watched()
    processor = BatchSpanProcessor(Bytes(), meter_provider=watched.meters)  # type: ignore[arg-type]
    assert watched.values("otel.sdk.processor.span.queue.size") == [(0, {})]
    assert watched.values("otel.sdk.processor.span.queue.capacity") == []
    processor.shutdown()


def test_simple_processors_count_what_they_hand_over() -> None:
    watched = Watched()

    class Failing(InMemorySpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.FAILURE

    simple = SimpleSpanProcessor(Failing(), meter_provider=watched.meters)
    fill_spans(simple, 3)
    of_logs = SimpleLogRecordProcessor(InMemoryLogRecordExporter(), meter_provider=watched.meters)
    fill_logs(of_logs, 2)
    assert watched.values("otel.sdk.processor.span.processed") == [(3, {})]
    assert watched.values("otel.sdk.processor.log.processed") == [(2, {})]


class ByName(Sampler):
    """Decides by the name of a span."""

    def should_sample(self, parent_context: Any, trace_id: Any, name: str, *more: Any) -> Any:
        return SamplingResult(Decision[name])

    def get_description(self) -> str:
        return "ByName"


@pytest.mark.parametrize("is_custom", [False, True])
def test_spans_are_counted_by_decision_and_parent(is_custom: bool) -> None:
    watched = Watched()
    more: dict[str, Any] = {}
    if is_custom:
        # Another way for spans than that of our own composite.
        from heliograph.sdk.trace import ConcurrentMultiSpanProcessor

        more = {"active_span_processor": ConcurrentMultiSpanProcessor()}
    provider = TracerProvider(
        sampler=ByName(), meter_provider=watched.meters, shutdown_on_exit=False, **more
    )
    tracer, other = provider.get_tracer("one"), provider.get_tracer("two")
    remote = trace.set_span_in_context(NonRecordingSpan(SpanContext(1, 1, True, TraceFlags(1))))
    with tracer.start_as_current_span("RECORD_AND_SAMPLE"):
        local = other.start_span("RECORD_ONLY")
        tracer.start_span("DROP").end()
        tracer.start_span("DROP", context=remote).end()
    tracer.start_span("RECORD_AND_SAMPLE", context=remote)

    def started(result: str, origin: str) -> dict[str, str]:
        return {"otel.span.sampling_result": result, "otel.span.parent.origin": origin}

    assert watched.values("otel.sdk.span.started") == [
        (1, started("DROP", "local")),
        (1, started("DROP", "remote")),
        (1, started("RECORD_ONLY", "local")),
        (1, started("RECORD_AND_SAMPLE", "none")),
        (1, started("RECORD_AND_SAMPLE", "remote")),
    ]
    live = "otel.span.sampling_result"
    assert watched.values("otel.sdk.span.live") == [
        (1, {live: "RECORD_ONLY"}),
        (1, {live: "RECORD_AND_SAMPLE"}),
    ]
    local.end()
    local.end()
    assert watched.values("otel.sdk.span.live")[0] == (0, {live: "RECORD_ONLY"})


@pytest.mark.parametrize("as_objects", [False, True])
def test_log_records_are_counted_on_all_ways(as_objects: bool) -> None:
    watched = Watched()
    provider = LoggerProvider(meter_provider=watched.meters, shutdown_on_exit=False)
    processor: Any = BatchLogRecordProcessor(Bytes())  # type: ignore[arg-type]
    if as_objects:
        processor = SimpleLogRecordProcessor(InMemoryLogRecordExporter())
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("t")
    logger.emit(body="parts")
    from opentelemetry._logs import LogRecord

    logger.emit(LogRecord(body="whole"))
    app = logging.Logger("app")
    app.addHandler(LoggingHandler(logger_provider=provider))
    app.warning("logged")
    app.warning("again", extra={"otel.event.name": "event"})
    assert watched.values("otel.sdk.log.created") == [(4, {})]


def spans_to(exporter: Any, count: int = 3) -> bool:
    provider = TracerProvider(shutdown_on_exit=False)
    processor = BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    for _ in range(count):
        provider.get_tracer("t").start_span("s").end()
    return processor.force_flush(10_000)


def partial(rejected: int) -> bytes:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    data: bytes = response.SerializeToString()
    return data


def test_an_exporter_over_http_counts_what_it_sent_and_how_long_that_took(
    http: HttpBackend,
) -> None:
    watched = Watched()
    exporter = Http(f"http://127.0.0.1:{http.port}/v1/traces", meter_provider=watched.meters)
    assert spans_to(exporter)
    protobuf = {"content-type": "application/x-protobuf"}
    http.answer = lambda request: Answer(200, protobuf, partial(1))
    spans_to(exporter)
    http.answer = lambda request: Answer(400)
    assert not spans_to(exporter)

    exported = watched.values("otel.sdk.exporter.span.exported")
    assert exported[0] == (5, {})
    assert sorted(exported[1:], key=str) == [
        (1, {"error.type": "rejected"}),
        (3, {"error.type": "400"}),
    ]
    assert watched.values("otel.sdk.exporter.span.inflight") == [(0, {})]
    status = "http.response.status_code"
    assert watched.values("otel.sdk.exporter.operation.duration") == [
        (1, {status: 200}),
        (1, {status: 200, "error.type": "rejected"}),
        (1, {status: 400, "error.type": "400"}),
    ]
    [point, *_] = watched.points("otel.sdk.exporter.span.exported")
    about = {key: value for key, value in point.attributes.items() if key.startswith("server.")}
    assert about == {"server.address": "127.0.0.1", "server.port": http.port}
    assert point.attributes["otel.component.type"] == "otlp_http_span_exporter"


def test_an_exporter_over_grpc_counts_what_it_sent_and_how_long_that_took(
    rpc: GrpcBackend,
) -> None:
    import grpc

    watched = Watched()
    exporter = Grpc(f"http://127.0.0.1:{rpc.port}", meter_provider=watched.meters)
    assert spans_to(exporter)

    def refuse(context: Any) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        raise AssertionError

    rpc.answer = refuse
    assert not spans_to(exporter)
    assert watched.values("otel.sdk.exporter.span.exported") == [
        (3, {}),
        (3, {"error.type": "INVALID_ARGUMENT"}),
    ]
    code = "rpc.response.status_code"
    assert watched.values("otel.sdk.exporter.operation.duration") == [
        (1, {code: "OK"}),
        (1, {code: "INVALID_ARGUMENT", "error.type": "INVALID_ARGUMENT"}),
    ]


def test_what_is_on_its_way_is_inflight(http: HttpBackend) -> None:
    watched, seen = Watched(), []
    exporter = OTLPLogExporter(
        f"http://127.0.0.1:{http.port}/",
        meter_provider=watched.meters,
        max_concurrent_requests=1,
    )

    def answer(request: Any) -> Answer:
        seen.append(watched.values("otel.sdk.exporter.log.inflight"))
        return Answer(200)

    http.answer = answer
    processor = BatchLogRecordProcessor(exporter, max_export_batch_size=5)
    processor._worker.wake = lambda reason: None  # type: ignore[method-assign]
    fill_logs(processor, 10)
    assert processor.force_flush(10_000)
    assert seen == [[(5, {})], [(5, {})]]
    assert watched.values("otel.sdk.exporter.log.inflight") == [(0, {})]
    assert watched.values("otel.sdk.exporter.log.exported") == [(10, {})]


def test_files_count_too(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: watched.meters)
    monkeypatch.setenv(SWITCH, "true")
    exporter = FileSpanExporter(tmp_path / "spans.jsonl")
    assert spans_to(exporter, 2)
    exporter.shutdown()
    assert watched.values("otel.sdk.exporter.span.exported") == [(2, {})]
    assert [value for value, _ in watched.values("otel.sdk.exporter.operation.duration")] == [1]


def test_a_reader_says_how_long_it_collects_and_its_exporter_how_many_points_it_sent(
    http: HttpBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "True")
    watched = Watched()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: watched.meters)
    exporter = OTLPMetricExporter(f"http://127.0.0.1:{http.port}/v1/metrics")
    periodic = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    meters = MeterProvider([periodic], shutdown_on_exit=False)
    meters.get_meter("t").create_counter("requests").add(1)
    assert meters.force_flush()
    [(points, _)] = watched.values("otel.sdk.exporter.metric_data_point.exported")
    assert points == 1
    # The first collection's duration is in the second.
    watched.reader.get_metrics_data()
    [point] = watched.points("otel.sdk.metric_reader.collection.duration")
    assert point.attributes["otel.component.type"] == "InMemoryMetricReader"
    assert point.count >= 1
    assert meters.force_flush()
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

    sent = ExportMetricsServiceRequest.FromString(http.received[-1].body)
    names = {
        metric.name
        for resource in sent.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert names == {"requests", "otel.sdk.metric_reader.collection.duration"}


def test_a_collection_that_fails_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "true")
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError("no")

    whole = reader._collect
    reader._collect = fail
    with pytest.raises(OSError, match="no"):
        reader.collect()
    reader._collect = whole
    data = reader.get_metrics_data()
    assert data is not None
    [metric] = data.resource_metrics[0].scope_metrics[0].metrics
    assert metric.data.data_points[0].attributes["error.type"] == "OSError"
    meters.shutdown()


def test_nothing_is_reported_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: watched.meters)
    provider = fill_spans(BatchSpanProcessor(InMemorySpanExporter()), 2)
    assert watched.reader.get_metrics_data() is None
    monkeypatch.setenv(SWITCH, "true")
    other = fill_spans(BatchSpanProcessor(InMemorySpanExporter()), 2)
    [(started, _)] = watched.values("otel.sdk.span.started")
    assert started == 2
    provider.shutdown()
    other.shutdown()


def test_what_is_gone_is_not_reported() -> None:
    watched = Watched()
    processor: Any = BatchSpanProcessor(InMemorySpanExporter(), meter_provider=watched.meters)
    assert len(watched.points("otel.sdk.processor.span.queue.size")) == 1
    processor.shutdown()
    del processor
    import gc

    gc.collect()
    assert watched.reader.get_metrics_data() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_counts_from_zero() -> None:
    watched = Watched()
    provider = TracerProvider(meter_provider=watched.meters, shutdown_on_exit=False)
    processor = BatchSpanProcessor(
        Bytes(),  # type: ignore[arg-type]
        max_queue_size=2,
        max_export_batch_size=2,
        meter_provider=watched.meters,
    )
    processor._worker.wake = lambda reason: None  # type: ignore[method-assign]
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("t")
    inherited = tracer.start_span("inherited")
    for _ in range(5):
        tracer.start_span("parent").end()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            inherited.end()
            tracer.start_span("child").end()
            [(started, _)] = watched.values("otel.sdk.span.started")
            [(live, _)] = watched.values("otel.sdk.span.live")
            handed = watched.values("otel.sdk.processor.span.processed")
            os.write(write, repr((started, live, handed)).encode())
        finally:
            os._exit(0)
    os.close(write)
    said = os.read(read, 1000).decode()
    os.close(read)
    os.waitpid(child, 0)
    assert said == repr((1, 0, [(0, {})]))
    [(started, _)] = watched.values("otel.sdk.span.started")
    assert started == 6


PROGRAM = """
from opentelemetry import metrics, trace
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import InMemoryMetricReader
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import SimpleSpanProcessor
from heliograph.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

before = TracerProvider()
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
after = TracerProvider(meter_provider=metrics.get_meter_provider())
late = TracerProvider()
for provider, count in ((before, 1), (after, 10), (late, 100)):
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    for _ in range(count):
        provider.get_tracer("t").start_span("s").end()
for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
    print(metric.name, sum(getattr(point, "value", 0) for point in metric.data.data_points))
"""


def test_what_was_made_before_the_global_provider_reports_to_it_too() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**os.environ, SWITCH: "true"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert said["otel.sdk.span.started"] == "111"
    assert said["otel.sdk.processor.span.processed"] == "111"
