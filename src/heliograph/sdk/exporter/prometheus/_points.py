"""Points as samples of ``prometheus_client``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client.core import Exemplar as ClientExemplar
from prometheus_client.core import Metric as Family

from heliograph.sdk.metrics.export import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
)

if TYPE_CHECKING:
    from heliograph.sdk.metrics import Exemplar


def add_point(family: Family, point: Any, labels: dict[str, str]) -> None:
    """Add the samples of a point to its family."""
    name = family.name
    if isinstance(point, HistogramDataPoint | ExponentialHistogramDataPoint):
        below = 0
        lower = float("-inf")
        for bound, count in _buckets(point):
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


def _buckets(point: Any) -> Iterator[tuple[float, int]]:
    """Yield upper bounds, in order up to infinity, and how many values are in these buckets."""
    if isinstance(point, HistogramDataPoint):
        bounds = [*point.explicit_bounds, float("inf")]
        yield from zip(bounds, point.bucket_counts, strict=True)
        return
    negative, positive = point.negative, point.positive
    counts = list(enumerate(negative.bucket_counts, negative.offset))
    for index, count in reversed(counts):
        yield -_bound(point.scale, index), count
    if point.zero_count or (counts and positive.bucket_counts):
        yield 0.0, point.zero_count
    for index, count in enumerate(positive.bucket_counts, positive.offset):
        yield _bound(point.scale, index + 1), count
    yield float("inf"), 0


def _bound(scale: int, index: int) -> float:
    """Return the bound below the bucket of an index: base to the power of it, at most the largest
    number there is."""
    try:
        return float(2.0 ** (index * 2.0**-scale))
    except OverflowError:
        return 1.7976931348623157e308


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
