"""Where exemplars are kept. The core has reservoirs of its own of the two kinds that the
specification names; these say which of them a view wants, and can be used by themselves.

Spec: Metrics SDK, ExemplarReservoir.
"""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import Attributes

from heliograph.sdk.metrics._internal.exemplar.exemplar import Exemplar

Offer: TypeAlias = tuple[float, int, Attributes, Context]


class ExemplarReservoir(ABC):
    """Takes measurements, and gives some of them back.

    Spec: Metrics SDK, ExemplarReservoir.
    """

    @abstractmethod
    def offer(
        self, value: float, time_unix_nano: int, attributes: Attributes, context: Context
    ) -> None:
        """Take a measurement, or leave it; called on any thread."""

    @abstractmethod
    def collect(self, point_attributes: Attributes) -> list[Exemplar]:
        """Return what was kept, without the point's own attributes, and begin again."""


class _Places(ExemplarReservoir):
    """Keeps the last measurement of each of some places."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._kept: dict[int, Offer] = {}
        self._lock = threading.Lock()

    def offer(
        self, value: float, time_unix_nano: int, attributes: Attributes, context: Context
    ) -> None:
        with self._lock:
            place = self._place(value)
            self._seen += 1
            if place < self._size:
                self._kept[place] = (value, time_unix_nano, dict(attributes or {}), context)

    def collect(self, point_attributes: Attributes) -> list[Exemplar]:
        with self._lock:
            kept, self._kept, self._seen = self._kept, {}, 0
        return [_exemplar(kept[place], point_attributes or {}) for place in sorted(kept)]

    @abstractmethod
    def _place(self, value: float) -> int:
        """Return the place of a measurement; one that does not exist leaves it."""


class SimpleFixedSizeExemplarReservoir(_Places):
    """Keeps ``size`` measurements, each with the same probability."""

    def __init__(self, size: int = 1, **kwargs: Any) -> None:
        super().__init__(size)

    def _place(self, value: float) -> int:
        if self._seen < self._size:
            return self._seen
        return random.randrange(self._seen + 1)  # noqa: S311 - a sample, no secret


class AlignedHistogramBucketExemplarReservoir(_Places):
    """Keeps the last measurement of each bucket of an explicit histogram."""

    def __init__(self, boundaries: Sequence[float], **kwargs: Any) -> None:
        super().__init__(len(boundaries) + 1)
        self._boundaries = boundaries

    def _place(self, value: float) -> int:
        return bisect_left(self._boundaries, value)


ExemplarReservoirBuilder: TypeAlias = Callable[..., ExemplarReservoir]


def _exemplar(offer: Offer, point_attributes: Any) -> Exemplar:
    value, time, attributes, context = offer
    span = trace.get_current_span(context).get_span_context()
    filtered = {
        key: value for key, value in (attributes or {}).items() if key not in point_attributes
    }
    if not span.is_valid:
        return Exemplar(filtered, value, time)
    return Exemplar(filtered, value, time, span.span_id, span.trace_id)


def kept_exemplars(reservoir: object) -> int | None:
    """Return what the core must know of a reservoir: how many exemplars it keeps, 0 for one of
    each bucket, None for a class that the core does not have."""
    kind = type(reservoir)
    if kind.__module__.startswith(("heliograph.sdk.", "opentelemetry.sdk.")):
        if kind.__name__ == "SimpleFixedSizeExemplarReservoir":
            return int(getattr(reservoir, "_size", 1)) or None
        if kind.__name__ == "AlignedHistogramBucketExemplarReservoir":
            return 0
    return None
