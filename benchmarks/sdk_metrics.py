"""What metrics cost: this SDK, the official one and prometheus_client, interleaved in one run.

    python benchmarks/sdk_metrics.py [--rounds N] [--json FILE]

Each case runs in turns, a short slice of each side at a time, so that what else the machine does
falls on both. The figure is the CPU time of the process for one operation, the median over the
rounds. Before a case is timed, both sides are shown to measure the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import prometheus_client
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)
from opentelemetry.sdk import metrics as official
from opentelemetry.sdk.metrics import export as official_export
from opentelemetry.sdk.metrics import view as official_view

from heliograph.sdk import metrics as ours
from heliograph.sdk.metrics import export as our_export
from heliograph.sdk.metrics import view as our_view

ATTRIBUTES = {"http.request.method": "GET", "http.response.status_code": 200, "http.route": "/x"}
SERIES = 10_000
SLICE_S = 0.02

Operation = Callable[[], object]
OURS = SimpleNamespace(name="ours", metrics=ours, export=our_export, view=our_view)
OFFICIAL = SimpleNamespace(
    name="official", metrics=official, export=official_export, view=official_view
)


def meter(sdk: SimpleNamespace, *, exponential: bool = False, off: bool = False) -> Any:
    """Return a meter of a provider with one reader that nobody reads."""
    views = []
    if exponential:
        aggregation = sdk.view.ExponentialBucketHistogramAggregation()
        views = [sdk.view.View(instrument_name="*", aggregation=aggregation)]
    filter = sdk.metrics.AlwaysOffExemplarFilter() if off else None
    provider = sdk.metrics.MeterProvider(
        [sdk.export.InMemoryMetricReader()],
        views=views,
        exemplar_filter=filter,
        shutdown_on_exit=False,
    )
    return provider.get_meter("benchmark")


def counting(attributes: Any, **settings: Any) -> list[tuple[str, Operation]]:
    sides = []
    for sdk in (OURS, OFFICIAL):
        counter = meter(sdk, **settings).create_counter("requests")
        sides.append((sdk.name, lambda counter=counter: counter.add(1, attributes)))
    return sides


def setting() -> list[tuple[str, Operation]]:
    sides = []
    for sdk in (OURS, OFFICIAL):
        gauge = meter(sdk).create_gauge("temperature")
        sides.append((sdk.name, lambda gauge=gauge: gauge.set(12.5, ATTRIBUTES)))
    return sides


def recording(**settings: Any) -> list[tuple[str, Operation]]:
    sides = []
    for sdk in (OURS, OFFICIAL):
        histogram = meter(sdk, **settings).create_histogram("duration")
        sides.append((sdk.name, lambda histogram=histogram: histogram.record(12.5, ATTRIBUTES)))
    return sides


def prometheus() -> list[tuple[str, Operation]]:
    registry = prometheus_client.CollectorRegistry()
    names = ("method", "status", "route")
    counter = prometheus_client.Counter("requests", "r", names, registry=registry)
    histogram = prometheus_client.Histogram("duration", "d", names, registry=registry)
    ours_counter = meter(OURS).create_counter("requests")
    ours_histogram = meter(OURS).create_histogram("duration")
    return [
        ("ours add", lambda: ours_counter.add(1, ATTRIBUTES)),
        ("labels(3).inc", lambda: counter.labels("GET", "200", "/x").inc()),
        ("ours record", lambda: ours_histogram.record(12.5, ATTRIBUTES)),
        ("labels(3).observe", lambda: histogram.labels("GET", "200", "/x").observe(12.5)),
    ]


def inside_a_span(sides: list[tuple[str, Operation]]) -> list[tuple[str, Operation]]:
    """Run the operations where a sampled span is current."""
    span = trace.NonRecordingSpan(
        trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(1))
    )
    token = context.attach(trace.set_span_in_context(span))
    return [*sides, ("", lambda: context.detach(token))]


def collecting(kind: str) -> list[tuple[str, Operation]]:
    sides: list[tuple[str, Operation]] = []
    requests = []
    for sdk in (OURS, OFFICIAL):
        reader = sdk.export.InMemoryMetricReader()
        if sdk is OURS:
            reader = sdk.export.ManualReader()
        view = sdk.view.View(instrument_name="*", aggregation_cardinality_limit=2 * SERIES)
        provider = sdk.metrics.MeterProvider([reader], views=[view], shutdown_on_exit=False)
        made = provider.get_meter("benchmark")
        counter, histogram = made.create_counter("requests"), made.create_histogram("duration")
        measure = counter.add if kind == "counter" else histogram.record
        for i in range(SERIES):
            measure(i, {"http.route": f"/items/{i}", "http.request.method": "GET", "shard": i % 8})
        if sdk is OURS:
            requests.append(Request.FromString(reader.read()))
            sides.append((sdk.name, reader.read))
        else:
            read = reader.get_metrics_data
            requests.append(encode_metrics(read()))
            sides.append((sdk.name, lambda read=read: encode_metrics(read()).SerializeToString()))
    assert [points(request) for request in requests] == [SERIES, SERIES]
    return sides


def points(request: Request) -> int:
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    return len(getattr(metric, metric.WhichOneof("data")).data_points)


CASES: dict[str, Callable[[], list[tuple[str, Operation]]]] = {
    "e  counter.add, 0 attributes": lambda: counting(None),
    "e  counter.add, 3 attributes": lambda: counting(ATTRIBUTES),
    "e  counter.add, 3 attributes, exemplars always_off": lambda: counting(ATTRIBUTES, off=True),
    "e  counter.add, 3 attributes, in a sampled span": lambda: inside_a_span(counting(ATTRIBUTES)),
    "e  gauge.set, 3 attributes": setting,
    "f  histogram.record explicit, 3 attributes": recording,
    "f  histogram.record exponential, 3 attributes": lambda: recording(exponential=True),
    "f  histogram.record explicit, 3 attributes, in a sampled span": (
        lambda: inside_a_span(recording())
    ),
    "g  prometheus_client, 3 labels": prometheus,
    "j  collect and encode 10000 counter series": lambda: collecting("counter"),
    "j  collect and encode 10000 histogram series": lambda: collecting("histogram"),
}


def slice_of(operation: Operation, times: int) -> float:
    """Return nanoseconds of CPU time for one operation."""
    start = time.process_time_ns()
    for _ in range(times):
        operation()
    return (time.process_time_ns() - start) / times


def repeats(operation: Operation) -> int:
    """Return how often an operation fits into a slice."""
    times = 1
    while True:
        start = time.perf_counter()
        for _ in range(times):
            operation()
        if time.perf_counter() - start > SLICE_S / 4:
            return times
        times *= 2


def run(case: str, rounds: int) -> dict[str, float]:
    sides = CASES[case]()
    end = sides.pop()[1] if sides[-1][0] == "" else None
    times = {name: repeats(operation) for name, operation in sides}
    found: dict[str, list[float]] = {name: [] for name, _ in sides}
    for _ in range(rounds):
        for name, operation in sides:
            found[name].append(slice_of(operation, times[name]))
    if end is not None:
        end()
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    results = {}
    print(f"{'ns of CPU time for one operation':64}{'ours':>12}{'other':>14}{'ratio':>8}")
    for case in CASES:
        figures = results[case] = run(case, options.rounds)
        values = list(figures.items())
        for (_, mine), (name, other) in zip(values[::2], values[1::2], strict=True):
            label = case if name == "official" else f"{case}: {name}"
            print(f"{label:64}{mine:12.0f}{other:14.0f}{other / mine:7.1f}x")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
