"""Instruments, meters and views, as a program sees them."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from typing import Any

import pytest
from opentelemetry import context, metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation

from heliograph.sdk.metrics import (
    AlignedHistogramBucketExemplarReservoir,
    AlwaysOnExemplarFilter,
    Counter,
    ExemplarFilter,
    MeterProvider,
    MetricsTimeoutError,
    SimpleFixedSizeExemplarReservoir,
)
from heliograph.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricReader,
)
from heliograph.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
    View,
)
from heliograph.sdk.resources import Resource


class Program:
    """A provider with one reader, and a meter."""

    def __init__(self, *views: View, **settings: Any) -> None:
        self.reader = InMemoryMetricReader(**settings.pop("reader", {}))
        self.provider = MeterProvider(
            [self.reader], Resource({}), views=views, shutdown_on_exit=False, **settings
        )
        self.meter = self.provider.get_meter("tests")

    def metrics(self) -> dict[str, Any]:
        """Return what is collected now, by name."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self, name: str) -> dict[Any, Any]:
        """Return the values of a metric's points, by their attributes."""
        points = self.metrics()[name].data.data_points
        return {tuple(sorted(point.attributes.items())): point.value for point in points}


def test_instruments_are_the_apis() -> None:
    meter = Program().meter
    assert isinstance(meter.create_counter("a"), metrics.Counter)
    assert isinstance(meter.create_up_down_counter("b"), metrics.UpDownCounter)
    assert isinstance(meter.create_histogram("c"), metrics.Histogram)
    assert isinstance(meter.create_gauge("d"), metrics._Gauge)
    assert isinstance(meter.create_observable_counter("e"), metrics.ObservableCounter)
    assert isinstance(meter.create_observable_gauge("f"), metrics.ObservableGauge)
    with pytest.raises(TypeError, match="via a meter"):
        Counter()


def test_the_same_instrument_each_time() -> None:
    program = Program()
    one = program.meter.create_counter("requests", "1", "all")
    assert program.meter.create_counter("Requests", "1", "all") is one
    assert program.provider.get_meter("tests").create_counter("requests", "1", "all") is one
    assert program.meter.create_counter("requests", "s", "all") is not one


def test_a_wrong_name_measures_nothing_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    program = Program()
    program.meter.create_counter("1 requests").add(1)
    assert program.metrics() == {}
    assert "measures nothing" in caplog.text


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "x", None])
def test_what_cannot_be_measured_is_said(amount: Any, caplog: pytest.LogCaptureFixture) -> None:
    program = Program()
    program.meter.create_counter("requests").add(amount)
    assert program.metrics() == {}
    assert "is ignored" in caplog.text


def test_attributes_that_are_no_mapping(caplog: pytest.LogCaptureFixture) -> None:
    program = Program()
    program.meter.create_counter("requests").add(1, "abc")
    assert program.values("requests") == {(): 1}
    assert "no mapping" in caplog.text


def test_attribute_sets_are_equal_in_any_order() -> None:
    program = Program()
    counter = program.meter.create_counter("requests")
    counter.add(1, {"a": 1, "b": "x", "c": [1, "y"]})
    counter.add(2, {"c": (1, "y"), "b": "x", "a": 1})
    counter.add(4, {"a": 1.0, "b": "x", "c": [1, "y"]})
    counter.add(8, {"a": True, "b": "x", "c": [1, "y"]})
    points = program.metrics()["requests"].data.data_points
    assert [(point.value, type(point.attributes["a"])) for point in points] == [
        (3, int),
        (4, float),
        (8, bool),
    ]


def test_mutating_attributes_afterwards_changes_nothing() -> None:
    program = Program()
    attributes: dict[str, Any] = {"a": [1]}
    program.meter.create_counter("requests").add(1, attributes)
    attributes["a"].append(2)
    attributes["b"] = 1
    assert program.values("requests") == {(("a", (1,)),): 1}


def test_attributes_whose_str_measures() -> None:
    """The room for attributes is not shared with what runs while they are read."""
    program = Program()
    counter = program.meter.create_counter("requests")

    class Strange:
        def __str__(self) -> str:
            counter.add(1, {"inner": 1})
            return "strange"

    counter.add(2, {"a": 1, "b": Strange(), "c": 3})
    assert program.values("requests") == {
        (("inner", 1),): 1,
        (("a", 1), ("b", "strange"), ("c", 3)): 2,
    }


def test_sets_beyond_the_limit_share_one_series() -> None:
    program = Program()
    counter = program.meter.create_counter("requests")
    for i in range(3000):
        counter.add(1, {"i": i})
        counter.add(1, {"i": 0})
    values = program.values("requests")
    assert len(values) == 2001
    assert values[(("otel.metric.overflow", True),)] == 1000
    assert values[(("i", 0),)] == 3001


def test_limits_of_readers_and_views() -> None:
    program = Program(
        View(instrument_name="viewed", aggregation_cardinality_limit=1),
        reader={"cardinality_limits": {Counter: 2}},
    )
    for name, expected in (("plain", 3), ("viewed", 2)):
        counter = program.meter.create_counter(name)
        for i in range(10):
            counter.add(1, {"i": i})
        assert len(program.values(name)) == expected
    with pytest.raises(ValueError, match="positive"):
        InMemoryMetricReader(cardinality_limits={Counter: 0})


def test_views() -> None:
    program = Program(
        View(instrument_name="kept", attribute_keys={"a"}),
        View(instrument_name="less", excluded_attribute_keys={"a"}, name="renamed"),
        View(instrument_name="gone*", aggregation=DropAggregation()),
        View(instrument_name="twice", name="first"),
        View(instrument_name="twice", name="second", aggregation=LastValueAggregation()),
    )
    for name in ("kept", "less", "gone.a", "twice"):
        counter = program.meter.create_counter(name)
        counter.add(1, {"a": 1, "b": 2})
        counter.add(5, {"b": 3, "a": 1})
    found = program.metrics()
    assert sorted(found) == ["first", "kept", "renamed", "second"]
    assert program.values("kept") == {(("a", 1),): 6}
    assert program.values("renamed") == {(("b", 2),): 1, (("b", 3),): 5}
    assert list(program.values("second").values()) == [1, 5]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"name": "x"},
        {"name": "x", "instrument_name": "*"},
        {"instrument_name": "x", "attribute_keys": {"a"}, "excluded_attribute_keys": {"b"}},
        {"instrument_name": "x", "aggregation_cardinality_limit": True},
    ],
)
def test_views_that_mean_nothing(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"View|aggregation_cardinality_limit"):
        View(**arguments)


def test_boundaries() -> None:
    with pytest.raises(ValueError, match="increasing"):
        ExplicitBucketHistogramAggregation([1, 1])
    with pytest.raises(ValueError, match="max_size"):
        ExponentialBucketHistogramAggregation(max_size=1)
    program = Program()
    histogram = program.meter.create_histogram(
        "durations", explicit_bucket_boundaries_advisory=[1, 2]
    )
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.record(value)
    (point,) = program.metrics()["durations"].data.data_points
    assert (point.explicit_bounds, point.bucket_counts) == ((1, 2), (2, 2, 1))
    assert (point.count, point.sum, point.min, point.max) == (5, 8.0, 0.5, 3)


def test_observations() -> None:
    program = Program()
    seen = []

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        seen.append(options.timeout_millis)
        yield Observation(3, {"a": 1})
        yield Observation(4, {"a": 2})

    def generate() -> Generator[Iterable[Observation], CallbackOptions, None]:
        for value in (1, 2):
            yield [Observation(value)]

    def fail(options: CallbackOptions) -> Iterable[Observation]:
        raise RuntimeError("broken")

    program.meter.create_observable_counter("sum", [observe, fail])
    program.meter.create_observable_gauge("gauge", [generate()])
    assert program.values("sum") == {(("a", 1),): 3, (("a", 2),): 4}
    assert program.values("sum") == {(("a", 1),): 3, (("a", 2),): 4}
    assert 0 < seen[0] <= 10_000


def test_slow_callbacks_are_given_up() -> None:
    program = Program()
    done = threading.Event()
    program.meter.create_observable_gauge("gauge", [lambda options: done.wait(0.05) or []])
    with pytest.raises(MetricsTimeoutError):
        program.reader.collect(timeout_millis=10)


def sampled_span() -> trace.Span:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    return trace.NonRecordingSpan(trace.SpanContext((7 << 64) + 1, 2, False, flags))


def test_exemplars_of_sampled_spans() -> None:
    program = Program(View(instrument_name="*", attribute_keys={"a"}))
    histogram = program.meter.create_histogram("durations")
    histogram.record(1, {"a": 1, "b": 0})
    with trace.use_span(sampled_span()):
        histogram.record(3, {"a": 1, "b": 2, "c": "x"})
    given = trace.set_span_in_context(sampled_span(), context.Context())
    histogram.record(700, {"a": 1}, context=given)
    (point,) = program.metrics()["durations"].data.data_points
    one, other = point.exemplars
    assert (one.value, one.filtered_attributes) == (3, {"b": 2, "c": "x"})
    assert (one.trace_id, one.span_id) == ((7 << 64) + 1, 2)
    assert (other.value, other.filtered_attributes) == (700, {})
    (point,) = program.metrics()["durations"].data.data_points
    assert point.exemplars == []


def test_exemplar_filters() -> None:
    class Large(ExemplarFilter):
        def should_sample(
            self, value: float, time_unix_nano: int, attributes: Any, context: Any
        ) -> bool:
            return value > 10 and attributes["a"] == 1

    for filter, expected in ((AlwaysOnExemplarFilter(), 2), (Large(), 1)):
        program = Program(exemplar_filter=filter)
        histogram = program.meter.create_histogram("durations")
        histogram.record(1, {"a": 1})
        histogram.record(20, {"a": 1})
        (point,) = program.metrics()["durations"].data.data_points
        assert len(point.exemplars) == expected
        assert point.exemplars[0].trace_id is None


def test_reservoirs() -> None:
    several = View(
        instrument_name="*",
        exemplar_reservoir_factory=lambda kind: lambda **given: SimpleFixedSizeExemplarReservoir(3),
    )
    program = Program(several, exemplar_filter=AlwaysOnExemplarFilter())
    for i in range(10):
        program.meter.create_counter("requests").add(i)
        program.meter.create_histogram("durations").record(i)
    for metric in program.metrics().values():
        (point,) = metric.data.data_points
        assert len(point.exemplars) == 3


def test_reservoirs_by_themselves() -> None:
    given = trace.set_span_in_context(sampled_span(), context.Context())
    for reservoir, expected in (
        (SimpleFixedSizeExemplarReservoir(2), None),
        (AlignedHistogramBucketExemplarReservoir([5, 7]), [5, 7, 9]),
    ):
        for i in range(10):
            reservoir.offer(i, i, {"a": 1, "b": i}, given)
        kept = reservoir.collect({"a": 1})
        if expected is None:
            assert len(kept) == 2
        else:
            assert [one.value for one in kept] == expected
        assert [one.filtered_attributes for one in kept] == [{"b": one.value} for one in kept]
        assert kept[0].span_id == 2
        assert reservoir.collect({}) == []


def test_overflow_keeps_all_attributes_in_exemplars() -> None:
    view = View(instrument_name="*", aggregation_cardinality_limit=1)
    program = Program(view, exemplar_filter=AlwaysOnExemplarFilter())
    counter = program.meter.create_counter("requests")
    counter.add(1, {"a": 1})
    counter.add(1, {"a": 2})
    _, overflow = program.metrics()["requests"].data.data_points
    assert overflow.exemplars[0].filtered_attributes == {"a": 2}


def test_readers_come_and_go() -> None:
    program = Program()
    counter = program.meter.create_counter("requests")
    counter.add(1)
    late = InMemoryMetricReader()
    program.provider.add_metric_reader(late)
    counter.add(2)
    assert program.values("requests") == {(): 3}
    data = late.get_metrics_data()
    assert data is not None
    assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value == 2
    program.provider.remove_metric_reader(late)
    counter.add(4)
    assert late.get_metrics_data() is None
    assert program.values("requests") == {(): 7}
    with pytest.raises(ValueError, match="another MeterProvider"):
        MeterProvider([program.reader], shutdown_on_exit=False)


def test_nothing_is_measured_after_shutdown() -> None:
    program = Program()
    counter = program.meter.create_counter("requests")
    program.provider.shutdown()
    counter.add(1)
    assert program.metrics() == {}
    assert isinstance(program.provider.get_meter("x"), metrics.NoOpMeter)


def test_threads_lose_nothing() -> None:
    delta = {"preferred_temporality": {Counter: AggregationTemporality.DELTA}}
    program = Program(reader=delta)
    counter = program.meter.create_counter("requests")
    ended = threading.Event()
    total = 0

    def work() -> None:
        for i in range(20_000):
            counter.add(1, {"a": i % 5})

    def drain() -> None:
        nonlocal total
        while True:
            last = ended.is_set()
            for metric in program.metrics().values():
                total += sum(point.value for point in metric.data.data_points)
            if last:
                return

    reading = threading.Thread(target=drain)
    reading.start()
    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ended.set()
    reading.join()
    assert total == 80_000


def test_readers_of_others() -> None:
    """A reader is a subclass of `MetricReader` that takes what was collected."""

    class Mine(MetricReader):
        got: Any = None

        def _receive_metrics(
            self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any
        ) -> None:
            self.got = metrics_data

        def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
            pass

    reader = Mine()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("tests").create_counter("requests").add(1)
    reader.collect()
    assert reader.got.resource_metrics[0].scope_metrics[0].metrics[0].name == "requests"


def test_a_bug_in_the_core_stays_out_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    from heliograph._core import panics

    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    meter = meters.get_meter("t")
    counter, histogram, gauge = (
        meter.create_counter("counter"),
        meter.create_histogram("histogram"),
        meter.create_gauge("gauge"),
    )
    meter.create_observable_gauge("observed", callbacks=[lambda options: [Observation(7)]])
    before = panics()
    meters._clock.stop(-1)
    counter.add(1)
    histogram.record(2)
    gauge.set(3)
    assert panics() == before + 3
    assert len(caplog.records) == (1 if before == 0 else 0)
    with pytest.raises(BaseException, match="told to fail"):
        meters._clock.now()
    meters._clock.stop(0)
    counter.add(10)
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        metric.name: [point.value for point in metric.data.data_points]  # type: ignore[union-attr]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert found == {"counter": [10], "observed": [7]}


def test_bound_instruments() -> None:
    program = Program()
    attributes = {"a": 1}
    counter = program.meter.create_counter("counter").bind(attributes)  # type: ignore[attr-defined]
    level = program.meter.create_up_down_counter("level").bind()  # type: ignore[attr-defined]
    gauge = program.meter.create_gauge("gauge").bind(attributes)  # type: ignore[attr-defined]
    waits = program.meter.create_histogram("waits").bind(attributes)  # type: ignore[attr-defined]
    attributes["a"] = 2
    counter.add(3)
    counter.add(4)
    level.add(-1)
    gauge.set(5)
    waits.record(6)
    found = {name: metric.data.data_points for name, metric in program.metrics().items()}
    assert [(point.value, point.attributes) for point in found["counter"]] == [(7, {"a": 1})]
    assert [(point.value, point.attributes) for point in found["level"]] == [(-1, {})]
    assert [(point.value, point.attributes) for point in found["gauge"]] == [(5, {"a": 1})]
    assert [(point.sum, point.attributes) for point in found["waits"]] == [(6, {"a": 1})]
