"""Metrics on a page that Prometheus reads, through ``prometheus_client``'s registry.

Spec: Prometheus and OpenMetrics Compatibility.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from heliograph.sdk import _variables as variables
from heliograph.sdk.exporter.prometheus._names import Names, Translation
from heliograph.sdk.exporter.prometheus._points import add_point
from heliograph.sdk.metrics.export import (
    CardinalityLimits,
    ExponentialHistogram,
    Gauge,
    Histogram,
    Metric,
    MetricFilter,
    MetricProducer,
    MetricReader,
    MetricsData,
    ResourceMetrics,
    Sum,
)

try:
    from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
    from prometheus_client.core import Metric as Family
except ImportError as error:
    raise ImportError(
        "the Prometheus reader needs prometheus_client: pip install prometheus-client"
    ) from error

_log = logging.getLogger("heliograph.sdk.exporter")


class PrometheusMetricReader(MetricReader):
    """Collects when the registry is asked for its page.

    Args:
        disable_target_info: without ``target_info``, which carries the resource.
        prefix: put before every name, with an underscore.
        scope_info_enabled: with ``otel_scope_*`` labels on every series.
        resource_attribute_filter: which attributes of the resource are labels of every series.
        registry: where the reader registers itself; prometheus_client's own.
        cardinality_limits, metric_producers, metric_filter: as for every reader.
        translation_strategy: how names are made. ``UnderscoreEscapingWithSuffixes``: letters,
            digits and ``_``, with unit and ``_total``; ``UnderscoreEscapingWithoutSuffixes``: the
            same without these; ``NoUTF8EscapingWithSuffixes`` and ``NoTranslation``: as they are,
            with and without suffixes, quoted on pages for scrapers that take them. What ought to
            end in ``_total`` and does not is of an unknown type on the page: a counter of another
            name does not exist in OpenMetrics.

    Exponential histograms are classic ones on the page: a bucket ends where one of theirs does.

    Raises: ValueError for another strategy.
    """

    component_type = "prometheus_http_text_metric_exporter"

    def __init__(
        self,
        disable_target_info: bool = False,
        prefix: str = "",
        scope_info_enabled: bool = True,
        *,
        resource_attribute_filter: Callable[[str], bool] | None = None,
        registry: CollectorRegistry = REGISTRY,
        cardinality_limits: CardinalityLimits | None = None,
        translation_strategy: Translation = "UnderscoreEscapingWithSuffixes",
        metric_producers: Sequence[MetricProducer] = (),
        metric_filter: MetricFilter | None = None,
    ) -> None:
        super().__init__(
            cardinality_limits=cardinality_limits,
            metric_producers=metric_producers,
            metric_filter=metric_filter,
        )
        self._names = Names(translation_strategy)
        self._target_info = not disable_target_info
        self._prefix = f"{prefix}_" if prefix else ""
        self._scope_info = scope_info_enabled
        self._resource_labels = resource_attribute_filter or (lambda key: False)
        self._received: MetricsData | None = None
        self._warned: set[str] = set()
        self._registry = registry
        self._collector = _Collector(self)
        registry.register(self._collector)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Leave the registry."""
        self._registry.unregister(self._collector)

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        self._received = metrics_data

    def families(self) -> list[Family]:
        """Collect, and return what there is in prometheus_client's terms."""
        if self._collect is None:
            return []
        self.collect()
        data, self._received = self._received, None
        families: dict[str, Family] = {}
        for resource in data.resource_metrics if data is not None else ():
            self._add(resource, families)
        return list(families.values())

    def _add(self, resource: ResourceMetrics, families: dict[str, Family]) -> None:
        attributes: Mapping[str, Any] = resource.resource.attributes
        if self._target_info and attributes:
            info = Family("target", "Target metadata", "info")
            info.add_sample("target_info", self._labels(attributes.items()), 1)
            families["target"] = info
        shared = [(key, value) for key, value in attributes.items() if self._resource_labels(key)]
        for scope in resource.scope_metrics:
            labels = [*shared, *(_scope(scope.scope) if self._scope_info else ())]
            for metric in scope.metrics:
                family = self._family(metric, families)
                if family is not None:
                    for point in metric.data.data_points:
                        named = self._labels([*labels, *(point.attributes or {}).items()])
                        add_point(family, point, named)

    def _family(self, metric: Metric, families: dict[str, Family]) -> Family | None:
        """Return the family of a metric; None when it has no place on the page."""
        match metric.data:
            case Sum(is_monotonic=True):
                kind = "counter" if self._names.with_suffixes else "unknown"
            case Sum() | Gauge():
                kind = "gauge"
            case Histogram() | ExponentialHistogram():
                kind = "histogram"
            case _:
                self._warn(metric.name, "there is no such kind of metric")
                return None
        name, unit = self._names.of_metric(self._prefix + metric.name, metric.unit or "", kind)
        family = families.get(name)
        if family is None:
            family = families[name] = Family(name, metric.description or "", kind, unit)
        elif family.type != kind:
            self._warn(metric.name, f"{name} is a {family.type} already")
            return None
        return family

    def _labels(self, attributes: Iterable[tuple[str, Any]]) -> dict[str, str]:
        """Return labels; values of keys that become the same name are joined with ``;``."""
        found: dict[str, str] = {}
        for key, value in sorted(attributes, key=lambda pair: pair[0]):
            name = self._names.of_label(key)
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            found[name] = f"{found[name]};{text}" if name in found else text
        return found

    def _warn(self, name: str, reason: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            _log.warning("%s is not on the page: %s", name, reason)


class _Collector:
    """What the registry asks."""

    def __init__(self, reader: PrometheusMetricReader) -> None:
        self._reader = reader

    def collect(self) -> Iterable[Family]:
        return self._reader.families()


def _scope(scope: Any) -> Iterator[tuple[str, Any]]:
    for key, value in (scope.attributes or {}).items():
        yield f"otel_scope_{key}", value
    yield "otel_scope_name", scope.name
    yield "otel_scope_version", scope.version or ""
    yield "otel_scope_schema_url", scope.schema_url or ""


class _AutoPrometheusMetricReader(PrometheusMetricReader):
    """Serves its page itself, where OTEL_EXPORTER_PROMETHEUS_HOST and _PORT say."""

    def __init__(self) -> None:
        super().__init__()
        port = variables.integer("OTEL_EXPORTER_PROMETHEUS_PORT", 9464, most=65535)
        host = variables.text("OTEL_EXPORTER_PROMETHEUS_HOST") or "localhost"
        start_http_server(port, host)
