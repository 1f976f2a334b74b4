"""What several views make of one instrument."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import Histogram, InMemoryMetricReader, Sum
from heliograph.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    SumAggregation,
    View,
)
from heliograph.sdk.util._patterns import Patterns


def streams(*views: View, **settings: Any) -> dict[str, Any]:
    """Return the metrics of one histogram, by name."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], views=views, shutdown_on_exit=False, **settings)
    histogram = meters.get_meter("t").create_histogram("time", description="own")
    histogram.record(3, {"a": 1, "b": 2, "c": 3})
    histogram.record(3, {"a": 2, "b": 2, "c": 3})
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}


def composed(*views: View) -> dict[str, Any]:
    return streams(*views, view_matching_mode="composable")


def attributes(metric: Any) -> list[dict[str, Any]]:
    return [dict(point.attributes) for point in metric.data.data_points]


KEYS = View(instrument_name="*", attribute_keys={"a", "b"})
TOTAL = View(instrument_name="ti*", aggregation=SumAggregation())


def test_views_are_independent_unless_told_otherwise() -> None:
    found = streams(
        View(instrument_name="time", name="one"), View(instrument_name="time", name="two")
    )
    assert sorted(found) == ["one", "two"]
    both = streams(View(instrument_name="time", name="one"), KEYS)
    assert sorted(both) == ["one", "time"]
    assert attributes(both["one"]) == [{"a": 1, "b": 2, "c": 3}, {"a": 2, "b": 2, "c": 3}]


def test_composed_views_make_one_stream_of_what_they_say() -> None:
    [metric] = composed(KEYS, TOTAL, View(instrument_name="time", description="said")).values()
    assert (metric.name, metric.description) == ("time", "said")
    assert isinstance(metric.data, Sum)
    assert attributes(metric) == [{"a": 1, "b": 2}, {"a": 2, "b": 2}]


def test_the_last_one_that_says_something_counts() -> None:
    bounds = ExplicitBucketHistogramAggregation([1, 2])
    [metric] = composed(
        TOTAL,
        View(instrument_name="*", aggregation=bounds, aggregation_cardinality_limit=1),
        KEYS,
    ).values()
    assert isinstance(metric.data, Histogram)
    assert metric.data.data_points[0].explicit_bounds == (1, 2)
    assert attributes(metric) == [{"a": 1, "b": 2}, {"otel.metric.overflow": True}]


def test_keys_are_those_that_all_keep_and_none_excludes() -> None:
    [metric] = composed(
        KEYS,
        View(instrument_name="*", attribute_keys={"b", "c"}),
    ).values()
    assert attributes(metric) == [{"b": 2}]
    [metric] = composed(
        KEYS,
        View(instrument_name="*", excluded_attribute_keys={"a"}),
        View(instrument_name="*", excluded_attribute_keys={"c"}),
    ).values()
    assert attributes(metric) == [{"b": 2}]
    [metric] = composed(
        View(instrument_name="*", excluded_attribute_keys={"a"}),
        View(instrument_name="*", excluded_attribute_keys={"c"}),
    ).values()
    assert attributes(metric) == [{"b": 2}]


def test_names_tell_streams_apart_and_the_others_hold_for_all() -> None:
    found = composed(
        View(instrument_name="time", name="one"),
        KEYS,
        View(instrument_name="time", name="two", aggregation=SumAggregation()),
        View(instrument_name="time", name="one", description="first"),
    )
    assert sorted(found) == ["one", "two"]
    assert (found["one"].description, found["two"].description) == ("first", "own")
    assert isinstance(found["one"].data, Histogram)
    assert isinstance(found["two"].data, Sum)
    assert (
        attributes(found["one"])
        == attributes(found["two"])
        == [
            {"a": 1, "b": 2},
            {"a": 2, "b": 2},
        ]
    )


def test_patterns_of_keys_are_composed_with_keys() -> None:
    """As a declarative file has them."""
    pattern = View(instrument_name="*")
    pattern._attribute_keys = Patterns([["?"]], ["b"])
    [metric] = composed(pattern, KEYS).values()
    assert attributes(metric) == [{"a": 1}, {"a": 2}]
    [metric] = composed(pattern, View(instrument_name="*", excluded_attribute_keys={"c"})).values()
    assert attributes(metric) == [{"a": 1}, {"a": 2}]
    [metric] = streams(pattern).values()
    assert attributes(metric) == [{"a": 1, "c": 3}, {"a": 2, "c": 3}]


def test_brackets_are_no_pattern() -> None:
    meters = MeterProvider(
        [reader := InMemoryMetricReader()],
        views=[View(instrument_unit="[degF]", aggregation=DropAggregation())],
        shutdown_on_exit=False,
    )
    meters.get_meter("t").create_gauge("dropped", unit="[degF]").set(1)
    meters.get_meter("t").create_gauge("kept", unit="d").set(1)
    data = reader.get_metrics_data()
    assert data is not None
    assert [one.name for one in data.resource_metrics[0].scope_metrics[0].metrics] == ["kept"]


def test_its_own_name_is_no_other() -> None:
    assert list(composed(View(instrument_name="time", name="time"), TOTAL)) == ["time"]


def test_dropped_by_the_last_word_and_kept_without_views() -> None:
    assert composed(TOTAL, View(instrument_name="*", aggregation=DropAggregation())) == {}
    assert list(composed(View(instrument_name="other"))) == ["time"]


def test_another_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="none of independent, composable"):
        MeterProvider(view_matching_mode="both")  # type: ignore[arg-type]
