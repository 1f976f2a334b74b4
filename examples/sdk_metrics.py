"""A program that is measured: it serves a hundred requests, and ends.

Sends OTLP over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT, http://localhost:4318 when that is not set.
"""

import random
from collections.abc import Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from heliograph.sdk.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import PeriodicExportingMetricReader
from heliograph.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from heliograph.sdk.resources import Resource

provider = MeterProvider(
    [PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=10_000)],
    resource=Resource.create({"service.name": "shop"}),
    views=[
        View(instrument_name="shop.wait", aggregation=ExponentialBucketHistogramAggregation()),
    ],
)
metrics.set_meter_provider(provider)

meter = metrics.get_meter("shop")
requests = meter.create_counter("shop.requests", unit="{request}")
waits = meter.create_histogram("shop.wait", unit="s")
queue = list(range(100))


def waiting(options: CallbackOptions) -> Iterable[Observation]:
    yield Observation(len(queue))


meter.create_observable_gauge("shop.queue", [waiting], unit="{request}")

chance = random.Random(1)
while queue:
    queue.pop()
    waits.record(chance.expovariate(10))
    requests.add(1, {"path": chance.choice(["/pay", "/look"])})
# What was measured is sent when the program ends.
