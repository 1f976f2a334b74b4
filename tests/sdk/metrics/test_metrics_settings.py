"""What readers, meters and instruments can be told."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation

from heliograph.sdk.metrics import MeterConfig, MeterProvider
from heliograph.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from heliograph.sdk.metrics.view import DropAggregation, View
from heliograph.sdk.resources import Resource
from heliograph.sdk.util.instrumentation import InstrumentationScope


class Kept(MetricExporter):
    """Keeps what it is given, and says that the export with one number failed."""

    def __init__(self, failing: int | None = None) -> None:
        super().__init__()
        self.failing = failing
        self.exports: list[MetricsData] = []

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        self.exports.append(metrics_data)
        failed = len(self.exports) - 1 == self.failing
        return MetricExportResult.FAILURE if failed else MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass


def points(data: MetricsData | None) -> list[tuple[str, str, dict[str, Any], Any]]:
    """Return scope, metric, attributes and value of each point."""
    return [
        (scope.scope.name, metric.name, dict(point.attributes or {}), getattr(point, "value", None))
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def filled(reader: PeriodicExportingMetricReader) -> MeterProvider:
    """Return a provider with 7 points in 2 scopes."""
    provider = MeterProvider([reader], Resource({"service.name": "shop"}), shutdown_on_exit=False)
    for scope, many in (("a", 5), ("b", 1)):
        counter = provider.get_meter(scope).create_counter("calls")
        for number in range(many):
            counter.add(number, {"number": number})
    provider.get_meter("b").create_gauge("level").set(3)
    return provider


@pytest.mark.parametrize(
    ("most", "sizes"), [(None, [7]), (7, [7]), (3, [3, 3, 1]), (1, [1] * 7), (5, [5, 2])]
)
def test_an_export_has_at_most_so_many_points(most: int | None, sizes: list[int]) -> None:
    whole, cut = Kept(), Kept()
    for exporter, size in ((whole, None), (cut, most)):
        provider = filled(
            PeriodicExportingMetricReader(exporter, math.inf, max_export_batch_size=size)
        )
        assert provider.force_flush()
        provider.shutdown()
    found = [points(data) for data in cut.exports[: len(sizes)]]
    assert [len(one) for one in found] == sizes
    assert [point for one in found for point in one] == points(whole.exports[0])
    for data in cut.exports:
        assert [one.resource.attributes for one in data.resource_metrics] == [
            {"service.name": "shop"}
        ]


def test_one_failed_part_fails_the_flush_and_stops_no_other() -> None:
    exporter = Kept(failing=0)
    provider = filled(PeriodicExportingMetricReader(exporter, math.inf, max_export_batch_size=3))
    assert not provider.force_flush()
    assert len(exporter.exports) == 3
    assert provider.force_flush()
    provider.shutdown()


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_size_is_a_whole_number_above_zero(size: Any) -> None:
    with pytest.raises(ValueError, match="max_export_batch_size"):
        PeriodicExportingMetricReader(Kept(), math.inf, max_export_batch_size=size)


@pytest.mark.parametrize(
    ("view", "kept"),
    [
        (None, {"route": "/"}),
        (View(instrument_name="calls", description="seen"), {"route": "/"}),
        (View(instrument_name="calls", attribute_keys={"user"}), {"user": 1}),
        (View(instrument_name="calls", excluded_attribute_keys={"x"}), {"route": "/", "user": 1}),
    ],
)
def test_advised_attributes_are_kept_where_no_view_says_which(
    view: View | None, kept: dict[str, Any]
) -> None:
    reader = InMemoryMetricReader()
    views = [] if view is None else [view]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    meter: Any = provider.get_meter("a")
    counter = meter.create_counter("calls", attributes_advisory=["route"])
    counter.add(1, {"route": "/", "user": 1})
    assert points(reader.get_metrics_data()) == [("a", "calls", kept, 1)]


def test_every_instrument_takes_the_advice() -> None:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(1, {"route": "/", "user": 1})

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter: Any = provider.get_meter("a")
    attributes = {"route": "/", "user": 1}
    advice = {"attributes_advisory": ["route"]}
    meter.create_counter("c", **advice).add(1, attributes)
    meter.create_up_down_counter("u", **advice).add(1, attributes)
    meter.create_histogram("h", **advice).record(1, attributes)
    meter.create_gauge("g", **advice).set(1, attributes)
    meter.create_observable_counter("oc", [observe], **advice)
    meter.create_observable_up_down_counter("ou", [observe], **advice)
    meter.create_observable_gauge("og", [observe], **advice)
    found = points(reader.get_metrics_data())
    assert sorted(name for _, name, _, _ in found) == ["c", "g", "h", "oc", "og", "ou", "u"]
    assert all(kept == {"route": "/"} for _, _, kept, _ in found)


def test_bad_and_other_advice_is_said(caplog: pytest.LogCaptureFixture) -> None:
    meter: Any = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False).get_meter("a")
    meter.create_counter("bad", attributes_advisory="route")
    meter.create_counter("calls", attributes_advisory=["route"])
    meter.create_counter("calls", attributes_advisory=["user"])
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "The attributes advised for bad are no sequence of keys: 'route'.",
        "<Counter 'calls'> exists with other attributes; they stay.",
    ]


def test_a_configurator_says_which_meters_measure() -> None:
    def only(name: str) -> Any:
        def configure(scope: InstrumentationScope) -> MeterConfig:
            return MeterConfig(is_enabled=scope.name == name)

        return configure

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], meter_configurator=only("a"), shutdown_on_exit=False)
    counters: dict[str, Any] = {
        name: provider.get_meter(name).create_counter("calls") for name in "ab"
    }
    assert [counters[name].is_enabled() for name in "ab"] == [True, False]
    for counter in counters.values():
        counter.add(1)
    assert points(reader.get_metrics_data()) == [("a", "calls", {}, 1)]
    provider.set_meter_configurator(meter_configurator=only("b"))
    assert [counters[name].is_enabled() for name in "ab"] == [False, True]
    counters["b"].add(2)
    assert ("b", "calls", {}, 2) in points(reader.get_metrics_data())


def test_an_instrument_is_enabled_while_something_takes_its_measurements() -> None:
    views = [View(instrument_name="dropped", aggregation=DropAggregation())]
    provider = MeterProvider(views=views, shutdown_on_exit=False)
    meter = provider.get_meter("a")
    calls: Any = meter.create_counter("calls")
    dropped: Any = meter.create_counter("dropped")
    assert not calls.is_enabled()
    provider.add_metric_reader(InMemoryMetricReader())
    assert calls.is_enabled()
    assert not dropped.is_enabled()
    provider.shutdown()
    assert not calls.is_enabled()
