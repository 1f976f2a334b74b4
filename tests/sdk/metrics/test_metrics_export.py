"""Metrics leave the program: to real servers, in time, and once."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from exporters.backends import Answer, GrpcBackend, HttpBackend
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from heliograph.sdk.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcExporter,
)
from heliograph.sdk.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpExporter,
)
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from heliograph.sdk.resources import Resource


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def provider(exporter: Any, **settings: Any) -> MeterProvider:
    reader = PeriodicExportingMetricReader(exporter, **settings)
    return MeterProvider([reader], resource=Resource({"service.name": "shop"}))


def sums(request: Request) -> dict[str, list[int]]:
    """Return the values of each metric of a request."""
    return {
        metric.name: [point.as_int for point in metric.sum.data_points]
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_over_grpc(rpc: GrpcBackend) -> None:
    made = provider(
        GrpcExporter(f"http://127.0.0.1:{rpc.port}", headers={"X-Key": "1"}, compression="gzip")
    )
    made.get_meter("tests").create_counter("requests").add(3, {"route": "/x"})
    assert made.force_flush()
    made.shutdown()
    first, last = rpc.received
    assert first.path == "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    assert first.headers["x-key"] == "1"
    assert first.headers["user-agent"].startswith("heliograph-sdk-python/")
    assert sums(Request.FromString(first.body)) == {"requests": [3]}
    assert sums(Request.FromString(last.body)) == {"requests": [3]}


def test_over_http(http: HttpBackend) -> None:
    made = provider(HttpExporter(f"http://127.0.0.1:{http.port}/v1/metrics"))
    made.get_meter("tests").create_counter("requests").add(3)
    made.shutdown()
    (received,) = http.received
    assert received.path == "/v1/metrics"
    assert received.headers["content-type"] == "application/x-protobuf"
    assert sums(Request.FromString(received.body)) == {"requests": [3]}


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:{}"}, "/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:{}/other"}, "/other"),
    ],
)
def test_the_environment_names_the_server(
    http: HttpBackend, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], path: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(http.port))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Key=a%20b, other = 1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    made = provider(HttpExporter())
    made.get_meter("tests").create_counter("requests").add(3)
    made.shutdown()
    (received,) = http.received
    assert received.path == path
    assert (received.headers["key"], received.headers["other"]) == ("a b", "1")
    (metric,) = Request.FromString(received.body).resource_metrics[0].scope_metrics[0].metrics
    assert metric.sum.aggregation_temporality == 1


def test_large_requests_are_cut(http: HttpBackend) -> None:
    exporter = HttpExporter(f"http://127.0.0.1:{http.port}/v1/metrics", max_export_batch_size=2)
    made = provider(exporter)
    counter = made.get_meter("tests").create_counter("requests")
    for i in range(5):
        counter.add(1, {"i": i})
    made.shutdown()
    # The first alone; those after it share the way.
    first, *others = (sums(Request.FromString(received.body)) for received in http.received)
    counts = [first, *sorted(others, key=str)]
    assert counts == [{"requests": [1, 1]}, {"requests": [1, 1]}, {"requests": [1]}]


def test_requests_have_a_size(http: HttpBackend) -> None:
    exporter = HttpExporter(f"http://127.0.0.1:{http.port}/v1/metrics", max_request_size=600)
    made = provider(exporter)
    counter = made.get_meter("tests").create_counter("requests")
    for i in range(20):
        counter.add(1, {"i": i})
    made.shutdown()
    assert len(http.received) > 1
    assert max(len(received.body) for received in http.received) <= 600
    counts = [len(sums(Request.FromString(one.body))["requests"]) for one in http.received]
    assert sum(counts) == 20


def test_sent_again_when_the_server_asks_for_it(http: HttpBackend) -> None:
    answers = [Answer(503, {"retry-after": "1"}), Answer()]
    http.answer = lambda request: answers[len(http.received) - 1]
    exporter = HttpExporter(f"http://127.0.0.1:{http.port}/v1/metrics")
    made = provider(exporter)
    made.get_meter("tests").create_counter("requests").add(3)
    assert made.force_flush(20_000)
    assert len(http.received) == 2
    http.answer = lambda request: Answer(400)
    assert not made.force_flush()
    assert len(http.received) == 3
    made.shutdown()


def test_nobody_is_there(caplog: pytest.LogCaptureFixture) -> None:
    made = provider(GrpcExporter(f"http://127.0.0.1:{unused_port()}"))
    made.get_meter("tests").create_counter("requests").add(3)
    began = time.monotonic()
    assert not made.force_flush(300)
    assert time.monotonic() - began < 2
    made.shutdown(300)
    assert time.monotonic() - began < 4
    assert len([one for one in caplog.records if "could not be exported" in one.message]) == 1


class Collecting(MetricExporter):
    """Keeps what it is given."""

    def __init__(self, result: MetricExportResult = MetricExportResult.SUCCESS) -> None:
        super().__init__()
        self.result = result
        self.exported: list[MetricsData] = []
        self.several = threading.Event()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        self.exported.append(metrics_data)
        if len(self.exported) > 1:
            self.several.set()
        return self.result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self.ended = True


def test_periodically() -> None:
    exporter = Collecting()
    made = provider(exporter, export_interval_millis=5)
    made.get_meter("tests").create_counter("requests").add(3)
    assert exporter.several.wait(10)
    made.shutdown()
    assert exporter.ended
    (metric,) = exporter.exported[0].resource_metrics[0].scope_metrics[0].metrics
    assert metric.data.data_points[0].value == 3


def test_a_failed_export_is_told() -> None:
    made = provider(Collecting(MetricExportResult.FAILURE))
    made.get_meter("tests").create_counter("requests").add(3)
    assert not made.force_flush()
    made.shutdown()


def test_exporters_of_the_official_sdk_get_its_classes() -> None:
    from opentelemetry.sdk.metrics import export as official

    out = io.StringIO()

    class Exporter(official.ConsoleMetricExporter):
        def export(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> Any:
            self.got = metrics_data
            return super().export(metrics_data, timeout_millis, **kwargs)

    exporter = Exporter(
        out, preferred_temporality={official_counter(): official.AggregationTemporality.DELTA}
    )
    made = provider(exporter)
    made.get_meter("tests").create_counter("requests").add(3)
    made.shutdown()
    assert isinstance(exporter.got, official.MetricsData)
    (metric,) = exporter.got.resource_metrics[0].scope_metrics[0].metrics
    assert isinstance(metric.data, official.Sum)
    assert metric.data.aggregation_temporality is official.AggregationTemporality.DELTA
    assert json.loads(out.getvalue())["resource_metrics"]


def test_what_somebody_changed_is_exported(http: HttpBackend) -> None:
    """Exporters stand in front of others and hand on what they made of the data."""

    class Renaming(HttpExporter):
        def export(
            self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
        ) -> MetricExportResult:
            (resource,) = metrics_data.resource_metrics
            (scope,) = resource.scope_metrics
            metrics = [replace(metric, name=f"my_{metric.name}") for metric in scope.metrics]
            scopes = [replace(scope, metrics=metrics)]
            changed = MetricsData([replace(resource, scope_metrics=scopes)])
            return super().export(changed, timeout_millis, **kwargs)

    made = provider(Renaming(f"http://127.0.0.1:{http.port}/v1/metrics"))
    made.get_meter("tests").create_counter("requests").add(3)
    made.shutdown()
    (received,) = http.received
    assert sums(Request.FromString(received.body)) == {"my_requests": [3]}


def official_counter() -> type:
    from opentelemetry.sdk.metrics import Counter

    found: type = Counter
    return found


def test_on_the_console() -> None:
    out = io.StringIO()
    made = provider(ConsoleMetricExporter(out))
    made.get_meter("tests").create_histogram("durations").record(3)
    made.shutdown()
    (resource,) = json.loads(out.getvalue())["resource_metrics"]
    assert resource["resource"]["attributes"]["service.name"] == "shop"
    (metric,) = resource["scope_metrics"][0]["metrics"]
    assert metric["data"]["data_points"][0]["count"] == 1


PROGRAM = """
import sys
from opentelemetry import metrics
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import PeriodicExportingMetricReader
from heliograph.sdk.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
reader = PeriodicExportingMetricReader(OTLPMetricExporter())
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
metrics.get_meter("tests").create_counter("requests").add(3)
print([name for name in sys.modules if name.startswith(("google.protobuf", "grpc"))])
print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
"""


def run(program: str, port: int) -> tuple[str, float]:
    """Run a program that exports over HTTP; return what it writes, and how long it took."""
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout + done.stderr, time.monotonic() - began


def test_a_program_exports_when_it_ends(http: HttpBackend) -> None:
    said, _ = run(PROGRAM, http.port)
    assert said == "[]\n[]\n"
    (received,) = http.received
    assert sums(Request.FromString(received.body)) == {"requests": [3]}


def test_a_program_ends_in_time_when_nobody_is_there() -> None:
    said, took = run(PROGRAM, unused_port())
    assert "could not be exported" in said
    assert said.count("\n") == 3
    assert took < 6
