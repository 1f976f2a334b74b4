"""What a reader collects, in the official SDK's shape.

Spec: Metrics Data Model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry.util.types import Attributes

from heliograph.sdk.metrics._internal.aggregation import (
    AggregationTemporality as AggregationTemporality,
)
from heliograph.sdk.metrics._internal.exemplar.exemplar import Exemplar

if TYPE_CHECKING:
    from heliograph.sdk.resources import Resource
    from heliograph.sdk.util.instrumentation import InstrumentationScope


class _Json:
    """What can say itself in JSON."""

    def to_json(self, indent: int | None = 4) -> str:
        return json.dumps(_plain(self), indent=indent)


def _plain(value: Any) -> Any:
    """Return what ``json`` can write; resources and scopes bring their own notation."""
    match value:
        case MetricsData():
            return {"resource_metrics": [_plain(found) for found in value.resource_metrics]}
        case ResourceMetrics():
            return {
                "resource": json.loads(value.resource.to_json()),
                "scope_metrics": [_plain(found) for found in value.scope_metrics],
                "schema_url": value.schema_url,
            }
        case ScopeMetrics():
            return {
                "scope": json.loads(value.scope.to_json()),
                "metrics": [_plain(metric) for metric in value.metrics],
                "schema_url": value.schema_url,
            }
        case Metric():
            return {
                "name": value.name,
                "description": value.description or "",
                "unit": value.unit or "",
                "data": _plain(value.data),
            }
    return asdict(value)


@dataclass(frozen=True)
class NumberDataPoint(_Json):
    """A sum or gauge at a time; times are in nanoseconds since the epoch."""

    attributes: Attributes
    start_time_unix_nano: int
    time_unix_nano: int
    value: int | float
    exemplars: Sequence[Exemplar] = field(default_factory=list)


@dataclass(frozen=True)
class HistogramDataPoint(_Json):
    """Counts by bucket: one more than there are bounds, which are inclusive upper ones."""

    attributes: Attributes
    start_time_unix_nano: int
    time_unix_nano: int
    count: int
    sum: int | float
    bucket_counts: Sequence[int]
    explicit_bounds: Sequence[float]
    min: float
    max: float
    exemplars: Sequence[Exemplar] = field(default_factory=list)


@dataclass(frozen=True)
class Buckets:
    """Counts of adjacent buckets; the first has the index ``offset``."""

    offset: int
    bucket_counts: Sequence[int]


@dataclass(frozen=True)
class ExponentialHistogramDataPoint(_Json):
    """Counts by bucket: bucket i holds (base**i, base**(i+1)], base being 2**(2**-scale)."""

    attributes: Attributes
    start_time_unix_nano: int
    time_unix_nano: int
    count: int
    sum: int | float
    scale: int
    zero_count: int
    positive: Buckets
    negative: Buckets
    flags: int
    min: float
    max: float
    exemplars: Sequence[Exemplar] = field(default_factory=list)


@dataclass(frozen=True)
class ExponentialHistogram(_Json):
    """Points of a metric that is an exponential histogram."""

    data_points: Sequence[ExponentialHistogramDataPoint]
    aggregation_temporality: AggregationTemporality


@dataclass(frozen=True)
class Sum(_Json):
    """Points of a metric that is a sum."""

    data_points: Sequence[NumberDataPoint]
    aggregation_temporality: AggregationTemporality
    is_monotonic: bool


@dataclass(frozen=True)
class Gauge(_Json):
    """Points of a metric that is a gauge."""

    data_points: Sequence[NumberDataPoint]


@dataclass(frozen=True)
class Histogram(_Json):
    """Points of a metric that is a histogram with explicit bounds."""

    data_points: Sequence[HistogramDataPoint]
    aggregation_temporality: AggregationTemporality


DataT: TypeAlias = Sum | Gauge | Histogram | ExponentialHistogram
DataPointT: TypeAlias = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint


@dataclass(frozen=True)
class Metric(_Json):
    """One stream of an instrument."""

    name: str
    description: str | None
    unit: str | None
    data: DataT


@dataclass(frozen=True)
class ScopeMetrics(_Json):
    """The metrics of an instrumentation scope."""

    scope: InstrumentationScope
    metrics: Sequence[Metric]
    schema_url: str


@dataclass(frozen=True)
class ResourceMetrics(_Json):
    """The metrics of a resource."""

    resource: Resource
    scope_metrics: Sequence[ScopeMetrics]
    schema_url: str


@dataclass(frozen=True)
class MetricsData(_Json):
    """All that a reader collected."""

    resource_metrics: Sequence[ResourceMetrics]
