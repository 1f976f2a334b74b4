"""Metrics from elsewhere, filters of readers, and reservoirs of other classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from exporters.backends import HttpBackend
from opentelemetry import context, trace
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from heliograph.sdk.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from heliograph.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    Exemplar,
    ExemplarReservoir,
    MeterProvider,
)
from heliograph.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    InMemoryMetricReader,
    ManualReader,
    Metric,
    MetricFilter,
    MetricFilterResult,
    MetricProducer,
    NumberDataPoint,
    PeriodicExportingMetricReader,
    ScopeMetrics,
)
from heliograph.sdk.metrics.view import SumAggregation, View
from heliograph.sdk.resources import Resource
from heliograph.sdk.util.instrumentation import InstrumentationScope


class Disk(MetricProducer):
    """Says how full two disks are."""

    def produce(
        self, metric_filter: MetricFilter | None = None, timeout_millis: float = 10_000
    ) -> Iterable[ScopeMetrics]:
        assert 0 < timeout_millis <= 10_000
        points = [
            NumberDataPoint({"disk": disk}, 0, 7, used) for disk, used in (("a", 1), ("b", 2))
        ]
        metric = Metric("disk.used", "", "By", Gauge(points))
        return [ScopeMetrics(InstrumentationScope("disks", "1.0"), [metric], "")]


class Broken(MetricProducer):
    def produce(
        self, metric_filter: MetricFilter | None = None, timeout_millis: float = 10_000
    ) -> Iterable[ScopeMetrics]:
        raise OSError("no disks")


class Some(MetricFilter):
    """Lets no counter pass, and of disks only one."""

    def test_metric(
        self, scope: InstrumentationScope, name: str, kind: str, unit: str
    ) -> MetricFilterResult:
        self.asked = (scope.name, name, kind, unit)
        if kind == "Sum":
            return MetricFilterResult.DROP
        if name.startswith("disk."):
            return MetricFilterResult.ACCEPT_PARTIAL
        return MetricFilterResult.ACCEPT

    def test_attributes(
        self,
        scope: InstrumentationScope,
        name: str,
        kind: str,
        unit: str,
        attributes: Mapping[str, Any],
    ) -> bool:
        return attributes["disk"] == "b"


def found(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    [resource] = data.resource_metrics
    assert resource.resource.attributes == {"a": 1}
    return {
        f"{scope.scope.name}/{metric.name}": [point.value for point in metric.data.data_points]
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def program(*readers: Any, **more: Any) -> MeterProvider:
    return MeterProvider(readers, Resource({"a": 1}), shutdown_on_exit=False, **more)


def test_producers_add_to_what_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    reader = InMemoryMetricReader(metric_producers=[Disk(), Broken()])
    meters = program(reader)
    assert found(reader) == {"disks/disk.used": [1, 2]}
    assert "Broken produced no metrics." in caplog.text
    meters.get_meter("app").create_counter("requests").add(3)
    assert found(reader) == {"app/requests": [3], "disks/disk.used": [1, 2]}


def test_what_is_produced_is_exported(http: HttpBackend) -> None:
    exporter = OTLPMetricExporter(f"http://127.0.0.1:{http.port}/v1/metrics")
    reader = PeriodicExportingMetricReader(
        exporter, float("inf"), metric_producers=[Disk()], metric_filter=Some()
    )
    meters = program(reader)
    meters.get_meter("app").create_counter("requests").add(3)
    assert meters.force_flush()
    request = Request.FromString(http.received[0].body)
    [scope] = request.resource_metrics[0].scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("disks", "1.0")
    [metric] = scope.metrics
    [point] = metric.gauge.data_points
    assert (metric.unit, point.as_int, point.time_unix_nano) == ("By", 2, 7)
    meters.shutdown()


@pytest.fixture
def http() -> Any:
    backend = HttpBackend()
    yield backend
    backend.stop()


def test_a_filter_holds_for_everything_a_reader_collects() -> None:
    wanted = Some()
    reader = InMemoryMetricReader(metric_filter=wanted)
    other = ManualReader(metric_producers=[Disk()], metric_filter=wanted)
    meters = program(reader, other)
    meter = meters.get_meter("app")
    meter.create_counter("requests").add(3)
    assert found(reader) == {}
    meter.create_gauge("level", unit="%").set(4)
    assert found(reader) == {"app/level": [4]}
    assert wanted.asked == ("app", "level", "Gauge", "%")
    request = Request.FromString(other.read())
    names = [metric.name for s in request.resource_metrics[0].scope_metrics for metric in s.metrics]
    assert names == ["level", "disk.used"]


class Largest(ExemplarReservoir):
    """Keeps the largest measurement."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.kept: Exemplar | None = None

    def offer(self, value: float, time_unix_nano: int, attributes: Any, context: Any) -> None:
        if value == 13:
            raise ValueError("unlucky")
        if self.kept is None or value > self.kept.value:
            span = trace.get_current_span(context).get_span_context()
            self.kept = Exemplar(
                dict(attributes), value, time_unix_nano, span.span_id or None, span.trace_id or None
            )

    def collect(self, point_attributes: Any) -> list[Exemplar]:
        kept, self.kept = self.kept, None
        if kept is None:
            return []
        filtered = {
            key: value
            for key, value in (kept.filtered_attributes or {}).items()
            if key not in point_attributes
        }
        return [Exemplar(filtered, kept.value, kept.time_unix_nano, kept.span_id, kept.trace_id)]


def largest(**more: Any) -> View:
    given = {"instrument_name": "*", "attribute_keys": {"route"}} | more
    return View(**given, exemplar_reservoir_factory=lambda kind: Largest)


def exemplars(reader: InMemoryMetricReader, name: str) -> dict[Any, list[Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    [metric] = [
        metric
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name == name
    ]
    return {
        tuple((point.attributes or {}).items()): [
            (one.value, one.filtered_attributes) for one in point.exemplars
        ]
        for point in metric.data.data_points
    }


def test_a_reservoir_of_another_class_keeps_what_it_likes(caplog: pytest.LogCaptureFixture) -> None:
    reader = InMemoryMetricReader()
    meters = program(reader, views=[largest()], exemplar_filter=AlwaysOnExemplarFilter())
    histogram = meters.get_meter("app").create_histogram("duration")
    for value, route in ((3, "/a"), (9, "/a"), (5, "/a"), (1, "/b"), (13, "/b")):
        histogram.record(value, {"route": route, "user": value})
    assert exemplars(reader, "duration") == {
        (("route", "/a"),): [(9, {"user": 9})],
        (("route", "/b"),): [(1, {"user": 1})],
    }
    assert "An exemplar reservoir failed." in caplog.text
    # What was collected is not collected again, and a series goes on.
    histogram.record(2, {"route": "/a", "user": 2})
    assert exemplars(reader, "duration") == {
        (("route", "/a"),): [(2, {"user": 2})],
        (("route", "/b"),): [],
    }


@pytest.mark.parametrize("observed", [False, True])
def test_it_is_offered_what_the_filter_lets_pass(observed: bool) -> None:
    reader = InMemoryMetricReader()
    meters = program(reader, views=[largest()])
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, False, flags))
    inside = trace.set_span_in_context(span)
    meter = meters.get_meter("app")
    if observed:
        meter.create_observable_counter(
            "requests",
            [lambda options: [Observation(7, {"route": "/"}, inside)]],
        )
    else:
        counter = meter.create_counter("requests")
        counter.add(10, {"route": "/"})
        counter.add(7, {"route": "/"}, inside)
    assert exemplars(reader, "requests") == {(("route", "/"),): [(7, {})]}

    silent = InMemoryMetricReader()
    meters = program(silent, views=[largest()], exemplar_filter=AlwaysOffExemplarFilter())
    meters.get_meter("app").create_counter("requests").add(7, {}, inside)
    assert exemplars(silent, "requests") == {(): []}


def test_reservoirs_are_no_more_than_series() -> None:
    reader = InMemoryMetricReader()
    meters = program(
        reader,
        views=[largest(aggregation_cardinality_limit=2, aggregation=SumAggregation())],
        exemplar_filter=AlwaysOnExemplarFilter(),
    )
    counter = meters.get_meter("app").create_counter("requests")
    for number in range(50):
        counter.add(number + 100, {"route": number})
    assert exemplars(reader, "requests") == {
        (("route", 0),): [(100, {})],
        (("route", 1),): [(101, {})],
        (("otel.metric.overflow", True),): [(149, {"route": 49})],
    }
    [streams] = meters._streams.values()
    [reservoirs] = streams._reservoirs.values()
    assert len(reservoirs._of) == 3


def test_deltas_begin_with_new_reservoirs() -> None:
    from heliograph.sdk.metrics import Counter

    reader = InMemoryMetricReader({Counter: AggregationTemporality.DELTA})
    meters = program(reader, views=[largest()], exemplar_filter=AlwaysOnExemplarFilter())
    counter = meters.get_meter("app").create_counter("requests")
    counter.add(1, {"route": 1})
    assert exemplars(reader, "requests") == {(("route", 1),): [(1, {})]}
    counter.add(1, {"route": 1.0})
    assert exemplars(reader, "requests") == {(("route", 1.0),): [(1, {})]}
    [streams] = meters._streams.values()
    assert [len(one._of) for one in streams._reservoirs.values()] == [0]


def test_other_readers_keep_the_reservoirs_of_the_core() -> None:
    reader, other = InMemoryMetricReader(), InMemoryMetricReader()
    meters = program(
        reader,
        other,
        views=[largest(name="mine", instrument_name="requests"), View(instrument_name="requests")],
        exemplar_filter=AlwaysOnExemplarFilter(),
    )
    counter = meters.get_meter("app").create_counter("requests")
    for value in (1, 5, 2):
        counter.add(value, {"route": "/", "user": 1}, context.get_current())
    for one in (reader, other):
        assert exemplars(one, "mine") == {(("route", "/"),): [(5, {"user": 1})]}
