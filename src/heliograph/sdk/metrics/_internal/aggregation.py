"""How measurements become points.

Spec: Metrics SDK, Aggregation; Metrics Data Model, Temporality.
"""

from __future__ import annotations

import itertools
import logging
import math
from abc import ABC
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from opentelemetry import metrics as api

_logger = logging.getLogger(__name__)

DEFAULT_BOUNDARIES = (
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
)  # fmt: skip
_DEFAULT_EXPLICIT_BUCKET_HISTOGRAM_AGGREGATION_BOUNDARIES = DEFAULT_BOUNDARIES


class AggregationTemporality(IntEnum):
    """What a point stands for: the time since the last collection, or since the start."""

    UNSPECIFIED = 0
    DELTA = 1
    CUMULATIVE = 2


class Aggregation(ABC):  # noqa: B024 - official, and nobody makes one
    """Base of all aggregations."""


class DefaultAggregation(Aggregation):
    """What suits the instrument: sums for counters, the last value for gauges, explicit buckets."""


class DropAggregation(Aggregation):
    """Measure nothing."""


class SumAggregation(Aggregation):
    """The sum of all measurements."""


class LastValueAggregation(Aggregation):
    """The last measurement."""


class ExplicitBucketHistogramAggregation(Aggregation):
    """A histogram with these upper bounds, inclusive and strictly increasing.

    Without boundaries those that the instrument advises are used, or the default ones.

    Raises: ValueError when a boundary is not finite or not above the one before.
    """

    def __init__(
        self, boundaries: Sequence[float] | None = None, record_min_max: bool = True
    ) -> None:
        if boundaries is not None:
            check_boundaries(boundaries)
        self._boundaries = boundaries
        self._record_min_max = record_min_max


class ExponentialBucketHistogramAggregation(Aggregation):
    """A base-2 exponential histogram.

    Args:
        max_size: buckets for each sign, 2 to 16384.
        max_scale: the finest scale, at most 20.

    Raises: ValueError when ``max_size`` is out of bounds.
    """

    def __init__(
        self, max_size: int = 160, max_scale: int = 20, record_min_max: bool = True
    ) -> None:
        if not 2 <= max_size <= 16384:
            raise ValueError(f"max_size is {max_size}, not between 2 and 16384")
        if max_scale > 20:
            _logger.warning("max_scale is %s, more than there is; 20 is used", max_scale)
        self._max_size = max_size
        self._max_scale = max(-10, min(20, max_scale))
        self._record_min_max = record_min_max


# What the official SDK hands to a view's factory of reservoirs, under its names for them.
_SumAggregation = SumAggregation
_LastValueAggregation = LastValueAggregation
_ExplicitBucketHistogramAggregation = ExplicitBucketHistogramAggregation
_ExponentialBucketHistogramAggregation = ExponentialBucketHistogramAggregation

KINDS: dict[str, type[Aggregation]] = {
    "sum": SumAggregation,
    "last_value": LastValueAggregation,
    "explicit": ExplicitBucketHistogramAggregation,
    "exponential": ExponentialBucketHistogramAggregation,
}
"""By what a storage calls them."""


def check_boundaries(boundaries: Sequence[float]) -> None:
    """Raises: ValueError when they are not finite or not strictly increasing."""
    for boundary in boundaries:
        if not math.isfinite(boundary):
            raise ValueError(f"invalid boundary: {boundary!r}")
    if any(one >= other for one, other in itertools.pairwise(boundaries)):
        raise ValueError("boundaries must be strictly increasing")


def is_default(aggregation: object) -> bool:
    """Tell whether an aggregation, ours or the official SDK's, leaves the choice to others."""
    return type(aggregation).__name__ == "DefaultAggregation"


def stream_kind(aggregation: object, instrument: api.Instrument) -> Mapping[str, Any] | None:
    """Return what a native storage must know of an aggregation; None when nothing is measured.

    Aggregations are known by the names of their classes, so that the official SDK's work, too.
    """
    kind = type(aggregation).__name__
    if kind == "DefaultAggregation":
        kind = _default(instrument)
    monotonic = isinstance(instrument, api.Counter | api.ObservableCounter)
    settings: dict[str, Any] = {
        "monotonic": monotonic,
        "bounds": (),
        "max_size": getattr(aggregation, "_max_size", 160),
        "max_scale": min(20, getattr(aggregation, "_max_scale", 20)),
        "record_min_max": getattr(aggregation, "_record_min_max", True),
        "exemplars": 1,
    }
    if kind == "SumAggregation":
        return settings | {"kind": "sum"}
    if kind == "LastValueAggregation":
        return settings | {"kind": "last_value"}
    if kind == "DropAggregation" or isinstance(instrument, api.Asynchronous):
        return None
    return _histogram(kind, aggregation, instrument, settings)


def _histogram(
    kind: str, aggregation: object, instrument: api.Instrument, settings: dict[str, Any]
) -> Mapping[str, Any] | None:
    if kind == "ExponentialBucketHistogramAggregation":
        return settings | {"kind": "exponential", "exemplars": min(20, settings["max_size"])}
    if kind == "ExplicitBucketHistogramAggregation":
        bounds = getattr(aggregation, "_boundaries", None)
        if bounds is None:
            bounds = getattr(instrument, "_boundaries_advisory", None)
        if bounds is None:
            bounds = DEFAULT_BOUNDARIES
        return settings | {"kind": "explicit", "bounds": tuple(map(float, bounds)), "exemplars": 0}
    _logger.warning("Aggregation %r is not known; nothing is measured.", aggregation)
    return None


def _default(instrument: api.Instrument) -> str:
    match instrument:
        case api.Histogram():
            return "ExplicitBucketHistogramAggregation"
        case api.ObservableGauge() | api._Gauge():
            return "LastValueAggregation"
    return "SumAggregation"
