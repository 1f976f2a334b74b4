"""The program's own providers win, and everything arrives once at each destination."""

from __future__ import annotations

from collections import Counter

import pytest
from exporters.backends import GrpcBackend
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sdk.test_alias import backend, bare, isolated  # noqa: F401 - fixtures

LAUNCHER = """
import heliograph.sdk; heliograph.sdk.install_aliases()
from heliograph.sdk.configuration import configure_from_environment
configured = configure_from_environment(replaceable=True)
import logging
from opentelemetry import trace, metrics, _logs
tracer = trace.get_tracer("early")
meter = metrics.get_meter("early")
counter = meter.create_counter("early.counter")
logger = _logs.get_logger("early")
logging.getLogger("before").warning("before")
"""

SNIPPET = """
from opentelemetry import trace, metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
trace.set_tracer_provider(TracerProvider(resource=Resource({{"service.name": "mine"}})))
trace.get_tracer_provider().add_span_processor(
    BatchSpanProcessor(OTLPSpanExporter(endpoint="http://127.0.0.1:{port}"))
)
reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint="http://127.0.0.1:{port}"))
metrics.set_meter_provider(MeterProvider(
    metric_readers=[reader], resource=Resource({{"service.name": "mine"}})
))
"""

LOGS = """
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
own = LoggerProvider(resource=Resource({{"service.name": "mine"}}))
set_logger_provider(own)
own.add_log_record_processor(
    BatchLogRecordProcessor(OTLPLogExporter(endpoint="http://127.0.0.1:{port}"))
)
logging.getLogger().addHandler(LoggingHandler(logger_provider=own))
"""

WORK = """
with tracer.start_as_current_span("early"):
    with trace.get_tracer("late").start_as_current_span("late"):
        counter.add(1)
        metrics.get_meter("late").create_counter("late.counter").add(2)
        logging.getLogger("app").warning("hello")
        logger.emit(_logs.LogRecord(body="direct"))
"""

ITEMS = {"late", "early", "early.counter", "late.counter", "hello", "direct", "before"}


def arrived(backend: GrpcBackend) -> Counter[tuple[str, str]]:  # noqa: F811 - not the fixture
    """Count what arrived by name and service."""
    found: Counter[tuple[str, str]] = Counter()
    for one in backend.received:
        if "trace" in one.path:
            for spans in ExportTraceServiceRequest.FromString(one.body).resource_spans:
                names = [span.name for scope in spans.scope_spans for span in scope.spans]
                found.update((name, service(spans.resource)) for name in names)
        elif "metrics" in one.path:
            for metrics in ExportMetricsServiceRequest.FromString(one.body).resource_metrics:
                names = [each.name for scope in metrics.scope_metrics for each in scope.metrics]
                found.update((name, service(metrics.resource)) for name in names)
        else:
            for logs in ExportLogsServiceRequest.FromString(one.body).resource_logs:
                names = [
                    each.body.string_value
                    for scope in logs.scope_logs
                    for each in scope.log_records
                ]
                found.update((name, service(logs.resource)) for name in names)
    return found


def service(resource: object) -> str:
    values = {one.key: one.value.string_value for one in resource.attributes}  # type: ignore[attr-defined]
    return values["service.name"]


@pytest.fixture
def other() -> object:
    made = GrpcBackend()
    yield made
    made.stop()


def test_without_providers_of_its_own_the_defaults_send(
    backend: GrpcBackend,  # noqa: F811 - fixtures
    bare: str,  # noqa: F811
) -> None:
    port = str(backend.port)
    ended = isolated(
        LAUNCHER + WORK,
        bare,
        OTEL_SERVICE_NAME="launched",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines() == ["before", "hello"]
    assert arrived(backend) == {(name, "launched"): 1 for name in ITEMS}


def test_the_tutorial_takes_over_and_the_defaults_go(
    backend: GrpcBackend,  # noqa: F811 - fixtures
    bare: str,  # noqa: F811
) -> None:
    program = LAUNCHER + (SNIPPET + LOGS).format(port=backend.port) + WORK
    program += "assert configured.destinations == [], configured.destinations\n"
    ended = isolated(program, bare, OTEL_BLRP_SCHEDULE_DELAY="60000")
    assert ended.returncode == 0, ended.stderr
    mine = ITEMS - {"before"}
    assert arrived(backend) == {(name, "mine"): 1 for name in mine}


def test_a_named_destination_that_the_program_has_too_gets_everything_once(
    backend: GrpcBackend,  # noqa: F811 - fixtures
    bare: str,  # noqa: F811
) -> None:
    program = LAUNCHER + (SNIPPET + LOGS).format(port=backend.port) + WORK
    ended = isolated(
        program,
        bare,
        OTEL_SERVICE_NAME="launched",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{backend.port}",
    )
    assert ended.returncode == 0, ended.stderr
    expected = {(name, "mine"): 1 for name in ITEMS - {"before"}} | {("before", "launched"): 1}
    assert arrived(backend) == expected


def test_another_named_destination_gets_what_the_programs_provider_records(
    backend: GrpcBackend,  # noqa: F811 - fixtures
    bare: str,  # noqa: F811
    other: GrpcBackend,
) -> None:
    program = LAUNCHER + (SNIPPET + LOGS).format(port=backend.port) + WORK
    ended = isolated(
        program,
        bare,
        OTEL_SERVICE_NAME="launched",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{other.port}",
    )
    assert ended.returncode == 0, ended.stderr
    mine = {(name, "mine"): 1 for name in ITEMS - {"before"}}
    assert arrived(backend) == mine
    assert arrived(other) == mine | {("before", "launched"): 1}


def test_a_second_provider_of_the_program_changes_nothing(bare: str) -> None:  # noqa: F811
    program = """
import heliograph.sdk
from heliograph.sdk.configuration import configure_from_environment
configure_from_environment(replaceable=True)
from opentelemetry import trace
from heliograph.sdk.trace import TracerProvider
first = TracerProvider()
trace.set_tracer_provider(first)
trace.set_tracer_provider(TracerProvider())
assert trace.get_tracer_provider() is first
"""
    ended = isolated(program, bare, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none")
    assert ended.returncode == 0, ended.stderr
    assert "Overriding of current TracerProvider is not allowed" in ended.stderr
