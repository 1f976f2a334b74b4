"""What the prometheus exporter costs: taking points of known series, and answering a scrape.

    python benchmarks/prometheus.py [series]

Goals: at most 1.5 µs a point, and 50 ms for a scrape of 10 000 series.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2

from heliograph.exporters._prometheus import protobuf, text
from heliograph.exporters._prometheus.labels import Labeller
from heliograph.exporters._prometheus.naming import Escaping
from heliograph.exporters._prometheus.negotiate import Format, Style
from heliograph.exporters._prometheus.read import Reader
from heliograph.exporters._prometheus.state import Store
from heliograph.exporters._prometheus.view import views
from heliograph.otlp import Batch, Signal

EPOCH = 1_700_000_000_000_000_000
PER_METRIC = 20
ROUNDS = 15
STYLES = {
    "text": Style(Format.TEXT, "0.0.4", Escaping.UNDERSCORES),
    "openmetrics": Style(Format.OPENMETRICS, "1.0.0", Escaping.NONE),
    "protobuf": Style(Format.PROTOBUF, "", Escaping.NONE),
}
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]


def request(kind: str, series: int, tick: int) -> bytes:
    """Return one export of all series, ``tick`` tens of seconds after the first."""
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    for key in ("service.name", "service.instance.id", "host.name", "os.type"):
        resource.resource.attributes.add(key=key).value.string_value = f"some {key}"
    scope = resource.scope_metrics.add()
    scope.scope.name = "benchmark"
    for number in range(series // PER_METRIC):
        metric = scope.metrics.add(name=f"{kind}.metric.{number}", unit="s", description="Some.")
        for row in range(PER_METRIC):
            point = _point(metric, kind, row, tick)
            point.start_time_unix_nano = EPOCH + (tick * 10**10 if kind == "delta" else 0)
            point.time_unix_nano = EPOCH + (tick + 1) * 10**10
            for key in ("http.request.method", "http.route", "server.address", "region"):
                point.attributes.add(key=key).value.string_value = f"{key} {row % 3}"
            point.attributes.add(key="row").value.int_value = row
    return message.SerializeToString()


def _point(
    metric: metrics_pb2.Metric, kind: str, row: int, tick: int
) -> metrics_pb2.NumberDataPoint:
    if kind == "gauge":
        return metric.gauge.data_points.add(as_double=row + tick / 7)
    if kind == "histogram":
        metric.histogram.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
        counts = [(row + index) % 5 * (tick + 1) for index in range(len(BOUNDS) + 1)]
        return metric.histogram.data_points.add(
            explicit_bounds=BOUNDS, bucket_counts=counts, count=sum(counts), sum=tick + 0.5
        )
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = (
        metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
        if kind == "delta"
        else metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    return metric.sum.data_points.add(as_int=row if kind == "delta" else row * (tick + 1))


def timed(work: Callable[[], object]) -> float:
    """Return the CPU seconds that it takes; other programs on the machine do not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def scrape(store: Store, style: Style, now: float) -> bytes:
    """Answer a scrape as the exporter does."""
    store.sweep(now)
    shown = views(store.families(), "target_info", store.targets(), style)
    writer: Callable[..., Iterable[bytes]] = (
        protobuf.write if style.format is Format.PROTOBUF else text.write
    )
    return b"".join(writer(shown, style))


def measure(kind: str, series: int) -> None:
    """Print one line of the table."""
    batches = [Batch(Signal.METRICS, request(kind, series, tick)) for tick in range(ROUNDS)]
    store = Store(Labeller(), 300.0)
    first = timed(lambda: store.consume(Reader(batches[0]), 0.0))
    known = [
        timed(lambda at=at: store.consume(Reader(batches[at]), float(at)))
        for at in range(1, ROUNDS)
    ]
    pages = {}
    for name, style in STYLES.items():
        page = scrape(store, style, ROUNDS)
        pages[name] = min(timed(lambda s=style: scrape(store, s, ROUNDS)) for _ in range(5))
        assert name == "protobuf" or page.count(b'row="7"') >= series // PER_METRIC
    row = next(s for s in store.families()[0].inventory() if dict(s.labels)["row"] == "3")
    if kind in ("counter", "delta"):
        assert row.point == 3 * ROUNDS, row.point
    print(
        f"{kind:10} {first / series * 1e6:8.2f} {min(known) / series * 1e6:8.2f} "
        + " ".join(f"{seconds * 1e3:12.1f}" for seconds in pages.values())
    )


def main() -> None:
    series = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{series} series; µs a point when new and when known, ms a scrape; CPU, least of many")
    print(f"{'':10} {'new':>8} {'known':>8} " + " ".join(f"{name:>12}" for name in STYLES))
    for kind in ("gauge", "counter", "delta", "histogram"):
        measure(kind, series)


if __name__ == "__main__":
    main()
