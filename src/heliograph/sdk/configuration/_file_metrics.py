"""The provider of meters of a declarative file."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, get_args

from opentelemetry import metrics as api

from heliograph.sdk._variables import NO_LIMIT
from heliograph.sdk.configuration._configured import Destination
from heliograph.sdk.configuration._file_parts import exporter, included
from heliograph.sdk.configuration._samplers import plugin
from heliograph.sdk.configuration._scopes import configurator
from heliograph.sdk.configuration._yaml import Item, Map
from heliograph.sdk.exporter.otlp._metrics import _DELTA, _HISTOGRAMS
from heliograph.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    MeterConfig,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from heliograph.sdk.metrics._internal.view import Matching
from heliograph.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from heliograph.sdk.metrics.view import (
    DefaultAggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
    SumAggregation,
    View,
)
from heliograph.sdk.util._patterns import Patterns, is_pattern

Make = Callable[[], Any]

KINDS: dict[str, type] = {
    "counter": api.Counter,
    "gauge": api._Gauge,
    "histogram": api.Histogram,
    "observable_counter": api.ObservableCounter,
    "observable_gauge": api.ObservableGauge,
    "observable_up_down_counter": api.ObservableUpDownCounter,
    "up_down_counter": api.UpDownCounter,
}

_STRATEGIES: dict[str, Any] = {
    "underscore_escaping_with_suffixes": "UnderscoreEscapingWithSuffixes",
    "underscore_escaping_without_suffixes/development": "UnderscoreEscapingWithoutSuffixes",
    "no_utf8_escaping_with_suffixes/development": "NoUTF8EscapingWithSuffixes",
    "no_translation/development": "NoTranslation",
}

_FILTERS: dict[str, Any] = {
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
    "trace_based": TraceBasedExemplarFilter,
}


def meter_provider(options: Map | None, to: list[Destination]) -> Any:
    """Return what makes the provider for a resource."""
    if options is None:
        return lambda about: None
    readers = [_reader(item, to) for item in options.elements("readers", required=True)]
    views = [_view(item) for item in options.elements("views")]
    exemplars = options.choice("exemplar_filter", _FILTERS) or "trace_based"
    matching = options.choice("view_matching_mode/development", get_args(Matching))
    decide = configurator(options.get("meter_configurator/development"), "meters", MeterConfig)
    options.done()
    return lambda about: MeterProvider(
        [make() for make in readers],
        about,
        exemplar_filter=_FILTERS[exemplars](),
        views=[view for view in views if view is not None],
        view_matching_mode=matching or "independent",
        meter_configurator=decide,
    )


def _reader(item: Item, to: list[Destination]) -> Make:
    found = item.map().one()
    if found is None:
        return lambda: None
    name, inner = found
    if name not in {"periodic", "pull"}:
        return plugin(inner, "opentelemetry_metric_reader", name, ["periodic", "pull"])
    options = inner.map()
    producers = [_producer(one) for one in options.elements("producers")]
    limits = _limits(options.map("cardinality_limits"))
    target = options.get("exporter", required=True)
    if name == "pull":
        options.done()
        return _prometheus(target, limits, producers, to)
    interval = options.number("interval")
    timeout = options.number("timeout")
    size = options.number("max_export_batch_size/development", least=1)
    make = exporter(target, "metrics", to, _preferences)
    options.done()
    return lambda: PeriodicExportingMetricReader(
        make(),
        60_000 if interval is None else interval or 1,
        30_000 if timeout is None else timeout or NO_LIMIT,
        limits,
        max_export_batch_size=size,
        metric_producers=[one() for one in producers],
    )


def _producer(item: Item) -> Make:
    found = item.map().one()
    if found is None:
        return lambda: None
    return plugin(found[1], "opentelemetry_metric_producer", found[0], [])


def _limits(options: Map | None) -> dict[type, int] | None:
    if options is None:
        return None
    default = options.number("default", least=1)
    found = {cls: options.number(name, least=1) or default for name, cls in KINDS.items()}
    options.done()
    return {cls: limit for cls, limit in found.items() if limit is not None}


def _preferences(options: Map) -> dict[str, Any]:
    wanted = options.choice("temporality_preference", ["cumulative", "delta", "low_memory"])
    histogram = options.choice("default_histogram_aggregation", _HISTOGRAMS)
    deltas = _DELTA[(wanted or "cumulative").replace("_", "")]
    table: dict[type, Any] = dict.fromkeys(KINDS.values(), AggregationTemporality.CUMULATIVE)
    table |= dict.fromkeys(deltas, AggregationTemporality.DELTA)
    made = _HISTOGRAMS[histogram or "explicit_bucket_histogram"]()
    return {"preferred_temporality": table, "preferred_aggregation": {api.Histogram: made}}


def _prometheus(
    item: Item | None, limits: Any, producers: list[Make], to: list[Destination]
) -> Make:
    found = None if item is None else item.map().one()
    if found is None:
        return lambda: None
    name, inner = found
    if name != "prometheus/development":
        return plugin(inner, "opentelemetry_metrics_exporter", name, ["prometheus/development"])
    options = inner.map()
    host = options.text("host") or "localhost"
    port = options.number("port", most=65535)
    scope = options.value("scope_info_enabled", bool)
    target = options.value("target_info_enabled/development", bool)
    labels = options.map("resource_constant_labels")
    keep = None if labels is None else included(labels)
    strategy = options.choice("translation_strategy", _STRATEGIES)
    options.done()

    def make() -> Any:
        from prometheus_client import start_http_server  # noqa: PLC0415 - installed as needed

        from heliograph.sdk.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415

        reader = PrometheusMetricReader(
            disable_target_info=target is False,
            scope_info_enabled=scope is not False,
            resource_attribute_filter=keep,
            cardinality_limits=limits,
            metric_producers=[one() for one in producers],
            translation_strategy=_STRATEGIES[strategy or "underscore_escaping_with_suffixes"],
        )
        start_http_server(9464 if port is None else port, host)
        to.append(Destination("metrics", name, f"{host}:{9464 if port is None else port}", True))
        return reader

    return make


def _view(item: Item) -> View | None:
    options = item.map()
    selector = options.map("selector", required=True)
    stream = options.map("stream", required=True)
    options.done()
    given: dict[str, Any] = {}
    if selector is not None:
        kind = selector.choice("instrument_type", KINDS)
        given["instrument_type"] = None if kind is None else KINDS[kind]
        given["instrument_unit"] = selector.text("unit")
        for key in ("instrument_name", "meter_name", "meter_version", "meter_schema_url"):
            given[key] = selector.text(key)
        selector.done()
    if stream is not None:
        given["name"], given["description"] = stream.text("name"), stream.text("description")
        limit = stream.number("aggregation_cardinality_limit", least=1)
        given["aggregation_cardinality_limit"] = limit
        given["aggregation"] = _aggregation(stream.get("aggregation"))
        if (keys := stream.map("attribute_keys")) is not None:
            given |= _keys(keys)
        stream.done()
    if (
        not any(given.get(key) for key in ("name",))
        and selector is not None
        and not selector.names()
    ):
        given["instrument_name"] = "*"
    try:
        return View(**given)
    except ValueError as error:
        item.problem(str(error))
        return None


def _keys(options: Map) -> dict[str, Any]:
    kept, dropped = options.texts("included"), options.texts("excluded")
    options.done()
    if any(is_pattern(one) for one in (*kept, *dropped)):
        return {"attribute_keys": Patterns([kept] if kept else [], dropped)}
    if kept:
        return {"attribute_keys": set(kept) - set(dropped)}
    return {"excluded_attribute_keys": set(dropped)}


def _boundaries(options: Map) -> list[float] | None:
    """Return the bounds of buckets; an empty list is one bucket, none at all the usual ones."""
    item = options.get("boundaries")
    bounds = None if item is None else item.plain()
    if item is None or bounds is None:
        return None
    if not isinstance(bounds, list) or any(type(one) not in {int, float} for one in bounds):
        item.problem(f"is {bounds!r}, not a list of numbers")
        return None
    if any(one >= other for one, other in pairwise(bounds)):
        item.problem("does not rise", "sort the numbers, each of them once")
        return None
    return bounds


def _aggregation(item: Item | None) -> Any:  # noqa: PLR0911 - one for each aggregation
    found = None if item is None else item.map().one()
    if found is None:
        return None
    name, inner = found
    options = inner.map()
    try:
        match name:
            case "default":
                return DefaultAggregation()
            case "drop":
                return DropAggregation()
            case "sum":
                return SumAggregation()
            case "last_value":
                return LastValueAggregation()
            case "explicit_bucket_histogram":
                extremes = options.value("record_min_max", bool) is not False
                return ExplicitBucketHistogramAggregation(_boundaries(options), extremes)
            case "base2_exponential_bucket_histogram":
                scale = options.number("max_scale", least=-10, most=20)
                size = options.number("max_size", least=2)
                return ExponentialBucketHistogramAggregation(
                    size or 160,
                    20 if scale is None else scale,
                    options.value("record_min_max", bool) is not False,
                )
    except (TypeError, ValueError) as error:
        inner.problem(str(error))
        return None
    finally:
        if name in {"explicit_bucket_histogram", "base2_exponential_bucket_histogram"}:
            options.done()
    inner.problem(f"there is no aggregation {name!r}")
    return None
