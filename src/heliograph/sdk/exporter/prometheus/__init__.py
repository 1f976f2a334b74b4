"""Metrics on a page that Prometheus reads, through ``prometheus_client``'s registry.

Spec: Prometheus and OpenMetrics Compatibility.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from heliograph.sdk.exporter.prometheus._names import label_name, metric_name, unit_name
from heliograph.sdk.metrics.export import (
    CardinalityLimits,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricReader,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    Sum,
)

try:
    from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
    from prometheus_client.core import Exemplar as ClientExemplar
    from prometheus_client.core import Metric as Family
except ImportError as error:
    raise ImportError(
        "the Prometheus reader needs prometheus_client: pip install prometheus-client"
    ) from error

if TYPE_CHECKING:
    from heliograph.sdk.metrics import Exemplar

_log = logging.getLogger("heliograph.sdk.exporter")


class PrometheusMetricReader(MetricReader):
    """Collects when the registry is asked for its page.

    Args:
        disable_target_info: without ``target_info``, which carries the resource.
        prefix: put before every name, with an underscore.
        scope_info_enabled: with ``otel_scope_*`` labels on every series.
        resource_attribute_filter: which attributes of the resource are labels of every series.
        registry: where the reader registers itself; prometheus_client's own.
        cardinality_limits: by class of instrument, as for every reader.
    """

    def __init__(
        self,
        disable_target_info: bool = False,
        prefix: str = "",
        scope_info_enabled: bool = True,
        *,
        resource_attribute_filter: Callable[[str], bool] | None = None,
        registry: CollectorRegistry = REGISTRY,
        cardinality_limits: CardinalityLimits | None = None,
    ) -> None:
        super().__init__(cardinality_limits=cardinality_limits)
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
            info.add_sample("target_info", _labels(attributes.items()), 1)
            families["target"] = info
        shared = [(key, value) for key, value in attributes.items() if self._resource_labels(key)]
        for scope in resource.scope_metrics:
            labels = [*shared, *(_scope(scope.scope) if self._scope_info else ())]
            for metric in scope.metrics:
                family = self._family(metric, families)
                if family is not None:
                    for point in metric.data.data_points:
                        named = _labels([*labels, *(point.attributes or {}).items()])
                        _add_point(family, point, named)

    def _family(self, metric: Metric, families: dict[str, Family]) -> Family | None:
        """Return the family of a metric; None when it has no place on the page."""
        match metric.data:
            case Sum(is_monotonic=True):
                kind = "counter"
            case Sum() | Gauge():
                kind = "gauge"
            case Histogram():
                kind = "histogram"
            case _:
                self._warn(metric.name, "exponential histograms have no place on this page")
                return None
        name = metric_name(self._prefix + metric.name)
        unit = unit_name(metric.unit or "")
        if kind == "counter":
            name = name.removesuffix("_total")
        if unit and not name.endswith(f"_{unit}"):
            name = f"{name}_{unit}"
        family = families.get(name)
        if family is None:
            family = families[name] = Family(name, metric.description or "", kind, unit)
        elif family.type != kind:
            self._warn(metric.name, f"{name} is a {family.type} already")
            return None
        return family

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


def _labels(attributes: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return labels; values of keys that become the same name are joined with ``;``."""
    found: dict[str, str] = {}
    for key, value in sorted(attributes, key=lambda pair: pair[0]):
        name = label_name(key)
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        found[name] = f"{found[name]};{text}" if name in found else text
    return found


def _add_point(family: Family, point: Any, labels: dict[str, str]) -> None:
    name = family.name
    if isinstance(point, HistogramDataPoint):
        below = 0
        bounds = [*point.explicit_bounds, float("inf")]
        lower = float("-inf")
        for bound, count in zip(bounds, point.bucket_counts, strict=True):
            below += count
            le = {**labels, "le": "+Inf" if bound == float("inf") else str(bound)}
            kept = [one for one in point.exemplars if lower < one.value <= bound]
            family.add_sample(f"{name}_bucket", le, below, exemplar=_exemplar(kept))
            lower = bound
        family.add_sample(f"{name}_count", labels, point.count)
        family.add_sample(f"{name}_sum", labels, point.sum)
    elif isinstance(point, NumberDataPoint):
        counter = family.type == "counter"
        exemplar = _exemplar(point.exemplars) if counter else None
        sample = f"{name}_total" if counter else name
        family.add_sample(sample, labels, point.value, exemplar=exemplar)


def _exemplar(exemplars: Iterable[Exemplar]) -> ClientExemplar | None:
    """Return the last exemplar that has a trace. OpenMetrics: one a sample, at most 128
    characters of labels; what else it held is left out."""
    for exemplar in reversed(list(exemplars)):
        if exemplar.trace_id is not None and exemplar.span_id is not None:
            labels = {
                "trace_id": f"{exemplar.trace_id:032x}",
                "span_id": f"{exemplar.span_id:016x}",
            }
            return ClientExemplar(labels, exemplar.value, exemplar.time_unix_nano / 1e9)
    return None


class _AutoPrometheusMetricReader(PrometheusMetricReader):
    """Serves its page itself, where OTEL_EXPORTER_PROMETHEUS_HOST and _PORT say."""

    def __init__(self) -> None:
        super().__init__()
        port = int(os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT") or 9464)
        start_http_server(port, os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST") or "localhost")
