"""Exporters and samplers of ours for programs on the official SDK, which finds them by name."""

import importlib
import json
import tomllib
from collections.abc import Callable
from importlib.metadata import distributions
from typing import Any

import pytest
from exporters.backends import Answer, GrpcBackend, HttpBackend
from opentelemetry import metrics as metrics_api
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk import _logs, metrics, trace
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk._logs.export import LogRecordExportResult as LogResult
from opentelemetry.sdk.metrics import export as metric_export
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import export as span_export
from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import StatusCode

from heliograph.sdk.configuration import _components as components
from instrument.conftest import Backend
from instrument.zero_code.conftest import Run
from instrument.zero_code.environment import ROOT, folder

GROUPS = {
    group: entries
    for group, entries in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "entry-points"
    ].items()
    if group.endswith(("_exporter", "_sampler"))
}
OFFICIAL = {
    "opentelemetry_traces_exporter": "otlp otlp/stdout zipkin zipkin_json zipkin_proto console"
    " logging none otlp_proto_grpc otlp_proto_http otlp_json_http otlp_json_file otlp_file"
    " jaeger jaeger_proto jaeger_thrift opencensus richconsole",
    "opentelemetry_metrics_exporter": "otlp otlp/stdout prometheus prometheus_remote_write console"
    " logging none otlp_proto_grpc otlp_proto_http otlp_json_http otlp_json_file otlp_file",
    "opentelemetry_logs_exporter": "otlp otlp/stdout console logging none otlp_proto_grpc"
    " otlp_proto_http otlp_json_http otlp_json_file otlp_file",
    "opentelemetry_traces_sampler": "always_on always_off traceidratio parentbased_always_on"
    " parentbased_always_off parentbased_traceidratio parentbased_jaeger_remote jaeger_remote xray"
    " always_record composite probability",
}
"""Names of the specification and of the official packages, also of packages that are no more."""

FORMS = ("grpc", "http", "json_http", "file")


def registered(group: str, name: str) -> Any:
    module, _, attribute = GROUPS[group][name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def test_all_groups_have_ours_and_no_name_is_official() -> None:
    assert set(GROUPS) == set(OFFICIAL)
    official = {group: set(names.split()) for group, names in OFFICIAL.items()}
    for package in distributions():
        if package.metadata["Name"].startswith("opentelemetry-"):
            for point in package.entry_points:
                official.setdefault(point.group, set()).add(point.name)
    for group, entries in GROUPS.items():
        assert entries.keys().isdisjoint(official[group])
        assert all(name.startswith("heliograph_") for name in entries)


@pytest.fixture(params=FORMS)
def form(
    request: pytest.FixtureRequest,
    over_grpc: GrpcBackend,
    over_http: HttpBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    name: str = request.param
    port = over_grpc.port if name == "grpc" else over_http.port
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    return name


def made(signal: str, form: str) -> Any:
    return registered(f"opentelemetry_{signal}_exporter", f"heliograph_otlp_{form}")()


RESOURCE = Resource({"service.name": "official"})


@pytest.fixture
def arrived(
    form: str, over_grpc: GrpcBackend, over_http: HttpBackend, capfd: pytest.CaptureFixture[str]
) -> Callable[[Any], str]:
    """Return what arrived, as text of JSON or as a message."""

    def read(message: Any) -> str:
        if form == "file":
            return capfd.readouterr().out
        (received,) = (over_grpc if form == "grpc" else over_http).received
        if form == "json_http":
            return received.body.decode()
        return str(message.FromString(received.body))

    return read


def test_spans_of_the_official_sdk(form: str, arrived: Any) -> None:
    exporter = made("traces", form)
    assert isinstance(exporter, span_export.SpanExporter)
    provider = trace.TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(span_export.BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("scope-name", attributes={"of": "scope"})
    with tracer.start_as_current_span("outer", attributes={"n": [1, 2]}) as outer:
        outer.add_event("an-event", {"k": "v"})
        with tracer.start_as_current_span("inner") as inner:
            inner.set_status(StatusCode.ERROR, "said")
    provider.shutdown()
    text = arrived(ExportTraceServiceRequest)
    for wanted in ("official", "scope-name", "outer", "inner", "an-event", "said"):
        assert wanted in text
    assert exporter.exported == 2


def test_metrics_of_the_official_sdk(
    form: str, arrived: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = "OTEL_EXPORTER_OTLP_METRICS_"
    monkeypatch.setenv(root + "TEMPORALITY_PREFERENCE", "delta")
    monkeypatch.setenv(root + "DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")
    exporter = made("metrics", form)
    assert isinstance(exporter, metric_export.MetricExporter)
    reader = metric_export.PeriodicExportingMetricReader(exporter, 1e9)
    provider = metrics.MeterProvider([reader], RESOURCE, shutdown_on_exit=False)
    meter: metrics_api.Meter = provider.get_meter("scope-name")
    meter.create_counter("a-counter").add(1, {"k": "v"})
    meter.create_histogram("a-histogram").record(3.5)
    meter.create_observable_gauge("a-gauge", [lambda _: [metrics_api.Observation(7)]])
    provider.shutdown()
    text = arrived(ExportMetricsServiceRequest)
    for wanted in ("official", "scope-name", "a-counter", "a-histogram", "a-gauge"):
        assert wanted in text
    assert "exponentialhistogram" in text.lower().replace("_", "")
    delta = "AGGREGATION_TEMPORALITY_DELTA" if form in ("grpc", "http") else 'emporality":1'
    assert text.count(delta) == 2


def test_logs_of_the_official_sdk(form: str, arrived: Any) -> None:
    exporter = made("logs", form)
    assert isinstance(exporter, LogRecordExporter)
    provider = _logs.LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    provider.get_logger("scope-name").emit(body={"said": [1]}, attributes={"k": "v"})
    provider.shutdown()
    text = arrived(ExportLogsServiceRequest)
    for wanted in ("official", "scope-name", "said"):
        assert wanted in text


def test_results_are_the_official_ones(over_http: HttpBackend) -> None:
    over_http.answer = lambda request: Answer(400)
    where = f"http://127.0.0.1:{over_http.port}/v1/x"

    def of(signal: str) -> Any:
        return registered(f"opentelemetry_{signal}_exporter", "heliograph_otlp_http")(where)

    span = trace.TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
    span.end()
    assert of("traces").export([span]) is span_export.SpanExportResult.FAILURE
    data = metric_export.MetricsData([])
    assert of("metrics").export(data) in list(metric_export.MetricExportResult)
    assert of("logs").export([]) in list(LogResult)


@pytest.mark.parametrize("name", GROUPS["opentelemetry_traces_sampler"])
def test_samplers_of_the_official_sdk(name: str) -> None:
    argument = "endpoint=http://127.0.0.1:9/sampling" if "jaeger" in name else "0.25"
    sampler = registered("opentelemetry_traces_sampler", name)(argument)
    assert isinstance(sampler, sampling.Sampler)
    provider = trace.TracerProvider(sampler=sampler, shutdown_on_exit=False)
    tracer = provider.get_tracer("t")
    with tracer.start_as_current_span("root") as root:
        child = tracer.start_span("child")
        if name.startswith("heliograph_parentbased_"):
            assert child.is_recording() == root.is_recording()
    assert type(sampler.should_sample(None, 1, "s").decision) is sampling.Decision
    if "ratio" in name:
        kept = sampler.should_sample(None, 2**128 - 1, "s")
        assert kept.decision is sampling.Decision.RECORD_AND_SAMPLE
        assert kept.trace_state.get("ot") == "th:c"
        assert sampler.should_sample(None, 1, "s").decision is sampling.Decision.DROP


@pytest.mark.parametrize("signal", components.SIGNALS)
@pytest.mark.parametrize("form", FORMS)
def test_our_own_sdk_takes_the_plain_ones_by_these_names(signal: str, form: str) -> None:
    found = components.exporter_class(signal, f"heliograph_otlp_{form}")
    assert found.__module__.startswith("heliograph.sdk.")


PROGRAM = """
import json, logging, sys
from opentelemetry import metrics, trace
from opentelemetry.sdk.trace import TracerProvider
provider = trace.get_tracer_provider()
with trace.get_tracer("t").start_as_current_span("program"):
    logging.getLogger().warning("logged")
metrics.get_meter("m").create_counter("counted").add(1)
print(json.dumps([TracerProvider.__module__, isinstance(provider, TracerProvider),
                  provider.sampler.get_description(),
                  [name for name in sys.modules if name in ("grpc", "google.protobuf")]]))
"""


@pytest.mark.slow
def test_a_program_below_the_official_launcher_and_distribution(
    backend: Backend, run: Run, variables: dict[str, str]
) -> None:
    """Its environment has opentelemetry-sdk and neither grpcio nor protobuf."""
    named = {
        f"OTEL_{each}_EXPORTER": "heliograph_otlp_grpc" for each in ("TRACES", "METRICS", "LOGS")
    }
    done = run(
        PROGRAM, launcher="opentelemetry-instrument",
        PYTHONPATH=f"{variables['PYTHONPATH']}:{folder() / 'official'}",
        OTEL_TRACES_SAMPLER="heliograph_parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="1.0",
        OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true", **named,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    module, is_official, sampler, heavy = json.loads(done.stdout.splitlines()[-1])
    assert (module, is_official, heavy) == ("opentelemetry.sdk.trace", True, [])
    assert sampler.startswith("ParentBased")
    (span,) = backend.wait("spans")
    assert (span["name"], span["traceState"]) == ("program", "ot=th:0")
    assert span["resource"]["telemetry.sdk.name"] == "opentelemetry"
    assert "counted" in [metric["name"] for metric in backend.wait("metrics")]
    assert "logged" in [log["body"]["stringValue"] for log in backend.wait("logs")]
