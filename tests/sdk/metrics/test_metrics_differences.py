"""Where this SDK and the official one differ on purpose, and why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from sdk.metrics.programs import OFFICIAL, OURS, Side, frozen

pytestmark = [pytest.mark.official, pytest.mark.filterwarnings("ignore")]


def points(request: Request | None) -> list[Any]:
    assert request is not None
    (metric,) = request.resource_metrics[0].scope_metrics[0].metrics
    return list(getattr(metric, metric.WhichOneof("data")).data_points)


def both(*measurements: tuple[str, Any, Any], **settings: Any) -> tuple[list[Any], list[Any]]:
    """Return the points that our SDK and the official one make of measurements."""
    with frozen() as clock:
        sides = [Side(sdk, clock, **settings) for sdk in (OURS, OFFICIAL)]
        for side in sides:
            for measurement in measurements:
                side.measure(*measurement)
        ours, official = (points(side.collect()) for side in sides)
    return ours, official


def exponential(sdk: SimpleNamespace) -> list[Any]:
    aggregation = sdk.view.ExponentialBucketHistogramAggregation()
    return [sdk.view.View(instrument_name="*", aggregation=aggregation)]


def test_attribute_sets_that_are_equal_on_the_wire_are_one_series() -> None:
    """Data model: a stream has one point for an attribute set. The official SDK tells a subclass of
    str from str, and sends the same attributes twice."""

    class Name(str):
        __slots__ = ()

    ours, official = both(("Counter", 1, {"a": "x"}), ("Counter", 2, {"a": Name("x")}))
    assert [point.as_int for point in ours] == [3]
    assert sorted(point.as_int for point in official) == [1, 2]


def test_integers_beyond_64_bits_are_text() -> None:
    """Common: AnyValue mapping. The official SDK drops the attribute while it exports."""
    ours, official = both(("Counter", 1, {"a": 2**64, "b": 1}))
    values = {pair.key: pair.value for pair in ours[0].attributes}
    assert values["a"].string_value == str(2**64)
    assert [pair.key for pair in official[0].attributes] == ["b"]


def test_lone_surrogates_are_replaced() -> None:
    """Nothing is lost but the character. The official SDK drops the attribute."""
    ours, official = both(("Counter", 1, {"a": "x\ud800"}))
    assert ours[0].attributes[0].value.string_value == "x?"
    assert not official[0].attributes


def test_sums_beyond_64_bits_go_on_as_floats() -> None:
    """The official SDK fails to encode, and loses the whole collection."""
    with frozen() as clock:
        side = Side(OURS, clock)
        side.measure("Counter", 2**63 - 1, None)
        side.measure("Counter", 1, None)
        side.measure("UpDownCounter", 10**30, None)
        request = side.collect()
    assert request is not None
    one, other = request.resource_metrics[0].scope_metrics[0].metrics
    assert one.sum.data_points[0].as_double == 2.0**63
    assert other.sum.data_points[0].as_double == 1e30


def test_a_gauge_takes_true_for_one() -> None:
    """The official SDK fails to encode it, and loses the whole collection."""
    with frozen() as clock:
        side = Side(OURS, clock)
        side.measure("Gauge", True, None)
        (point,) = points(side.collect())
    assert point.as_int == 1


def test_extremes_that_are_not_recorded_are_absent() -> None:
    """Data model: min and max are optional. The official SDK sends infinities."""

    def views(sdk: SimpleNamespace) -> list[Any]:
        aggregation = sdk.view.ExplicitBucketHistogramAggregation(record_min_max=False)
        return [sdk.view.View(instrument_name="*", aggregation=aggregation)]

    ours, official = both(("Histogram", 1, None), views=views)
    assert not ours[0].HasField("min")
    assert not ours[0].HasField("max")
    assert official[0].min == float("inf")


def test_zeros_do_not_cost_resolution() -> None:
    """Data model: the scale is the finest that fits. After an interval of zeros only, the official
    SDK stays at scale 0 for ever."""
    with frozen() as clock:
        sides = [Side(sdk, clock, views=exponential) for sdk in (OURS, OFFICIAL)]
        scales = []
        for side in sides:
            side.measure("Histogram", 0, None)
            assert points(side.collect())[0].scale == 0
            side.measure("Histogram", 3, None)
            side.measure("Histogram", 3.1, None)
            scales.append(points(side.collect())[0].scale)
    assert scales[1] == 0 < scales[0]


def test_zeros_are_offered_as_exemplars() -> None:
    """Spec: Metrics SDK, Exemplar. The official SDK leaves them out of exponential histograms."""
    ours, official = both(
        ("Histogram", 0, None), views=exponential, exemplars="AlwaysOnExemplarFilter"
    )
    assert [exemplar.as_int for exemplar in ours[0].exemplars] == [0]
    assert not official[0].exemplars
