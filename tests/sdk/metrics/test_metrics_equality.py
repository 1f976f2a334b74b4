"""The same program, measured by this SDK and by the official one, arrives as the same OTLP.

Where the two differ on purpose, `test_metrics_differences` says how, and why.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import (
    encode_metrics as official_encode,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from heliograph._core import encode_metrics
from sdk.differences import as_one_series
from sdk.generated import NUMPY, Huge, Number, Word
from sdk.metrics.programs import OFFICIAL, OURS, Side, frozen, in_order

SYNCHRONOUS = ("Counter", "UpDownCounter", "Histogram", "Gauge")
KINDS = (*SYNCHRONOUS, "ObservableCounter", "ObservableUpDownCounter", "ObservableGauge")

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
scalars = st.one_of(
    st.sampled_from([1, 1.0, True, 0, False, "1", "", None, b"1"]),
    text,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False).filter(lambda value: str(value) != "-0.0"),
)
NAN = float("nan")
odd = st.sampled_from(
    [2**63, -(2**63) - 1, Huge(2**70), Number.ONE, Word("1"), "\ud800", "x\udfff", NAN, *NUMPY]
)
anything = st.one_of(scalars, odd)
keys = st.sampled_from(["a", "b", "c", "http.route", "é", Word("a"), "\udc00"])
attributes = st.one_of(
    st.none(),
    st.dictionaries(
        keys,
        st.one_of(anything, st.lists(anything, max_size=2), st.dictionaries(keys, anything)),
        max_size=4,
    ),
)
values = st.one_of(
    st.integers(0, 12_000),
    st.floats(0, 1e6).map(abs),
    st.sampled_from([0, 0.0, 0.1, 0.2, 5, 5.0, 10_000, 2**52, 1e-310, 1e300]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(KINDS), values, st.booleans(), attributes),
        st.integers(1, 10**9),
        st.just("collect"),
    ),
    max_size=40,
)
VIEWS: dict[str, Any] = {
    "none": lambda sdk: [],
    "exponential": lambda sdk: [
        sdk.view.View(
            instrument_type=sdk.metrics.Histogram,
            aggregation=sdk.view.ExponentialBucketHistogramAggregation(max_size=8),
        )
    ],
    "filtered": lambda sdk: [
        sdk.view.View(instrument_name="*", attribute_keys={"a", "http.route"}),
    ],
    "several": lambda sdk: [
        sdk.view.View(instrument_name="a_counter", name="renamed", description="other"),
        sdk.view.View(instrument_name="a_*counter", aggregation_cardinality_limit=2),
        sdk.view.View(
            instrument_type=sdk.metrics.Gauge
            if hasattr(sdk.metrics, "Gauge")
            else sdk.metrics._Gauge,
            aggregation=sdk.view.DropAggregation(),
        ),
        sdk.view.View(
            instrument_name="a_histogram",
            aggregation=sdk.view.ExplicitBucketHistogramAggregation([1, 2.5, 100]),
        ),
        sdk.view.View(instrument_unit="By", name=None, aggregation=sdk.view.SumAggregation()),
    ],
}


def run(steps: list[Any], views: str, **settings: Any) -> None:
    """Run a program on both sides, and compare at each collection."""
    with frozen() as clock:
        settings["views"] = VIEWS[views]
        ours, official = Side(OURS, clock, **settings), Side(OFFICIAL, clock, **settings)
        for step in [*steps, 1, "collect"]:
            if step == "collect":
                assert ours.collect() == official.collect()
            elif isinstance(step, int):
                clock.advance(step)
            else:
                kind, value, below, attributes = step
                if views == "exponential":
                    # After an interval of zeros only, the official SDK stays at scale 0.
                    value = value or 1
                if below and kind not in ("Counter", "Histogram"):
                    value = -value
                ours.measure(kind, value, attributes)
                official.measure(kind, value, as_one_series(attributes))


@pytest.mark.official
@pytest.mark.filterwarnings("ignore")
@given(
    steps,
    st.sampled_from(sorted(VIEWS)),
    st.frozensets(st.sampled_from(KINDS)),
    st.sampled_from([None, 2]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_programs(steps: list[Any], views: str, delta: frozenset[str], limit: int | None) -> None:
    limits = dict.fromkeys(KINDS, limit) if limit else None
    run(steps, views, delta=delta, limits=limits)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@given(
    steps,
    st.sampled_from(sorted(VIEWS)),
    st.frozensets(st.sampled_from(KINDS)),
    st.sampled_from([None, 2]),
)
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
def test_thousands_of_programs(
    steps: list[Any], views: str, delta: frozenset[str], limit: int | None
) -> None:
    limits = dict.fromkeys(KINDS, limit) if limit else None
    run(steps, views, delta=delta, limits=limits)


@pytest.mark.filterwarnings("ignore")
@given(steps, st.sampled_from(sorted(VIEWS)), st.frozensets(st.sampled_from(KINDS)))
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_objects_arrive_as_the_bytes_do(
    steps: list[Any], views: str, delta: frozenset[str]
) -> None:
    """What is made of the bytes for somebody who looks, and encoded again, arrives the same."""
    with frozen() as clock:
        side = Side(
            OURS, clock, views=VIEWS[views], delta=delta, exemplars="AlwaysOnExemplarFilter"
        )
        for step in steps:
            if not isinstance(step, tuple):
                continue
            side.measure(step[0], step[1], step[3])
        collected = side.provider._collect(side.reader)
        if collected is None:
            return
        expected = in_order(Request.FromString(bytes(collected.batch.wire())))
        encoded = encode_metrics(collected.plain())
        assert encoded.items == collected.batch.items
        assert in_order(Request.FromString(bytes(encoded.wire()))) == expected
        official = official_encode(collected.shaped_for(OFFICIAL.export.InMemoryMetricReader()))
        assert in_order(official) == expected
