"""A shop served by several worker processes, whose metrics Prometheus reads in one place.

Each worker pushes what it measures to a collector on the same machine, which Prometheus scrapes:

    heliograph collector --config collector.yaml
    gunicorn --workers 4 app:app
    curl localhost:8000/basket; curl localhost:8889/metrics

Nothing is set up in workers, with and without ``--preload``: a worker is an instance of the service
(label ``instance``) and counts from zero. What it measured is pushed a last time when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import metrics

from heliograph.sdk.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import PeriodicExportingMetricReader
from heliograph.sdk.resources import Resource

# To OTEL_EXPORTER_OTLP_ENDPOINT, http://localhost:4317 when that is not set.
reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=5_000)
provider = MeterProvider([reader], resource=Resource.create({"service.name": "shop"}))
metrics.set_meter_provider(provider)

meter = metrics.get_meter("shop")
requests = meter.create_counter("shop.requests", unit="{request}")
durations = meter.create_histogram(
    "shop.request.duration",
    unit="s",
    explicit_bucket_boundaries_advisory=[0.001, 0.01, 0.1, 1.0],
)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a page."""
    began = time.perf_counter()
    start_response("200 OK", [("content-length", "2")])
    path = {"http.route": environ["PATH_INFO"]}
    requests.add(1, path)
    durations.record(time.perf_counter() - began, path)
    return [b"ok"]
