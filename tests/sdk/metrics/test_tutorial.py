"""The tutorial with traces and metrics runs as it stands, without the official packages."""

from __future__ import annotations

from exporters.backends import GrpcBackend
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from sdk.test_alias import backend, bare, isolated  # noqa: F401 - fixtures

TUTORIAL = """
import heliograph.sdk; heliograph.sdk.install_aliases()
from opentelemetry import trace, metrics
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(
    BatchSpanProcessor(OTLPSpanExporter(endpoint="http://127.0.0.1:{port}"))
)
reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint="http://127.0.0.1:{port}"))
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))

requests = metrics.get_meter("shop").create_counter("requests")
with trace.get_tracer("shop").start_as_current_span("basket"):
    requests.add(1, {{"http.route": "/basket"}})
"""


def test_traces_and_metrics(backend: GrpcBackend, bare: str) -> None:  # noqa: F811 - fixtures
    ended = isolated(TUTORIAL.format(port=backend.port), bare)
    assert (ended.returncode, ended.stderr) == (0, "")
    paths = sorted(received.path.split(".")[3] for received in backend.received)
    assert paths == ["metrics", "trace"]
    (body,) = [one.body for one in backend.received if "metrics" in one.path]
    (metric,) = Request.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.sum.data_points
    assert point.as_int == 1
    (exemplar,) = point.exemplars
    spans = next(one.body for one in backend.received if "trace" in one.path)
    assert exemplar.trace_id in spans
    assert exemplar.span_id in spans
