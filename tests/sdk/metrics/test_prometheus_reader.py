"""The page that Prometheus reads."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from heliograph.sdk.exporter.prometheus import PrometheusMetricReader
from heliograph.sdk.exporter.prometheus._names import unit_name
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from heliograph.sdk.resources import Resource


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def samples(registry: CollectorRegistry) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return what prometheus_client reads from its own page: by name, by labels but for scope's."""
    page = generate_latest(registry).decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = tuple(
                sorted(pair for pair in sample.labels.items() if not pair[0].startswith("otel_"))
            )
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_the_page(registry: CollectorRegistry) -> None:
    reader = PrometheusMetricReader(registry=registry, prefix="app")
    provider = MeterProvider([reader], Resource({"service.name": "shop"}), shutdown_on_exit=False)
    meter = provider.get_meter("tests", "1.0", attributes={"team": "a"})
    counter = meter.create_counter("requests.total", unit="1", description="all")
    counter.add(3, {"http.route": "/x", "http_route": "/y", "status": 200})
    meter.create_up_down_counter("queue", unit="{items}").add(-2)
    meter.create_gauge("temperature", unit="Cel").set(20.5)
    histogram = meter.create_histogram(
        "duration", unit="s", explicit_bucket_boundaries_advisory=[1, 2.5]
    )
    for value in (0.5, 2, 7):
        histogram.record(value)
    found = samples(registry)
    assert found["target_info"] == {(("service_name", "shop"),): 1}
    assert found["app_requests_total"] == {(("http_route", "/x;/y"), ("status", "200")): 3}
    assert found["app_queue"] == {(): -2}
    assert found["app_temperature_celsius"] == {(): 20.5}
    assert found["app_duration_seconds_bucket"] == {
        (("le", "1.0"),): 1,
        (("le", "2.5"),): 2,
        (("le", "+Inf"),): 3,
    }
    assert found["app_duration_seconds_count"] == {(): 3}
    assert found["app_duration_seconds_sum"] == {(): 9.5}
    page = generate_latest(registry).decode()
    assert 'otel_scope_name="tests"' in page
    assert 'otel_scope_team="a"' in page
    provider.shutdown()
    assert samples(registry) == {}


def test_options(registry: CollectorRegistry) -> None:
    reader = PrometheusMetricReader(
        True, "", False, resource_attribute_filter=lambda key: key == "host.name", registry=registry
    )
    resource = Resource({"service.name": "shop", "host.name": "a"})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    provider.get_meter("tests").create_counter("requests").add(3)
    assert samples(registry) == {"requests_total": {(("host_name", "a"),): 3}}
    assert "otel_scope" not in generate_latest(registry).decode()


def test_exemplars(registry: CollectorRegistry) -> None:
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, False, flags))
    with trace.use_span(span):
        provider.get_meter("tests").create_histogram("duration").record(3)
    page = generate_latest(registry).decode()
    assert f'# {{span_id="{2:016x}",trace_id="{1:032x}"}} 3.0' in page


def test_what_has_no_place_is_said_once(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    reader = PrometheusMetricReader(registry=registry)
    provider = MeterProvider([reader], Resource({}), shutdown_on_exit=False)
    provider.get_meter("tests").create_up_down_counter("duration").add(3)
    provider.get_meter("others").create_histogram("duration").record(3)
    assert samples(registry) == samples(registry) == {"duration": {(): 3}}
    assert len([one for one in caplog.records if "duration is not on the page" in one.message]) == 1


@pytest.mark.parametrize("scale", [-3, 0, 2])
def test_an_exponential_histogram_is_a_classic_one(registry: CollectorRegistry, scale: int) -> None:
    view = View(
        instrument_name="*", aggregation=ExponentialBucketHistogramAggregation(max_scale=scale)
    )
    provider = MeterProvider(
        [PrometheusMetricReader(registry=registry)],
        Resource({}),
        views=[view],
        shutdown_on_exit=False,
    )
    values = [0.0, 0.3, 1.0, 1.1, 2.0, 7.0, 1e300]
    for value in values:
        provider.get_meter("tests").create_histogram("duration").record(value)
    found = samples(registry)
    assert found["duration_count"] == {(): len(values)}
    buckets = {dict(labels)["le"]: count for labels, count in found["duration_bucket"].items()}
    assert len(buckets) > 3
    for bound, count in buckets.items():
        assert count == sum(value <= float(bound) for value in values), bound


@pytest.mark.parametrize(
    ("strategy", "names"),
    [
        ("UnderscoreEscapingWithSuffixes", ["http_sent_bytes_total", "http_time_seconds_bucket"]),
        ("UnderscoreEscapingWithoutSuffixes", ["http_sent", "http_time_bucket"]),
        ("NoUTF8EscapingWithSuffixes", ["http.sent_bytes_total", "http.time_seconds_bucket"]),
        ("NoTranslation", ["http.sent", "http.time_bucket"]),
    ],
)
def test_names_are_translated_as_told(
    registry: CollectorRegistry, strategy: Any, names: list[str]
) -> None:
    reader = PrometheusMetricReader(registry=registry, translation_strategy=strategy)
    provider = MeterProvider([reader], Resource({}), shutdown_on_exit=False)
    provider.get_meter("tests").create_counter("http.sent", unit="By").add(1, {"http.route": "/"})
    provider.get_meter("tests").create_histogram("http.time", unit="s").record(1)
    found = {
        sample.name: sample.labels for family in registry.collect() for sample in family.samples
    }
    assert set(names) <= set(found)
    label = "http_route" if strategy.startswith("Underscore") else "http.route"
    assert found[names[0]][label] == "/"
    # What prometheus_client writes it also reads.
    page = generate_latest(registry).decode()
    assert list(text_string_to_metric_families(page))


def test_another_strategy_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match="none of UnderscoreEscapingWithSuffixes"):
        PrometheusMetricReader(registry=registry, translation_strategy="Other")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("By", "bytes"),
        ("By/s", "bytes_per_second"),
        ("1", ""),
        ("{requests}", ""),
        ("{requests}/s", "per_second"),
        ("%", "percent"),
        ("furlong", "furlong"),
        ("", ""),
    ],
)
def test_units(unit: str, name: str) -> None:
    assert unit_name(unit) == name
