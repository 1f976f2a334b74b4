"""One series, and what a new point does to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import frexp
from typing import NamedTuple

from heliograph.exporters._prometheus.labels import Labels
from heliograph.exporters._prometheus.points import (
    MIN_SCHEMA,
    MOST_BUCKETS,
    Exponential,
    Histogram,
    Summary,
    add_exponentials,
    add_histograms,
    ascending,
    bucket_of,
)

Point = float | Histogram | Exponential | Summary


class Exemplar(NamedTuple):
    """A measurement with the trace it was made in; ``time`` in nanoseconds since the epoch."""

    labels: Labels
    value: float
    time: int


class Series:
    """One set of labels with its latest cumulative point, None when that was removed.

    ``time`` and ``start`` are nanoseconds since the epoch, ``seen`` is the store's clock. Exemplars
    are the latest one of each bucket. ``cache`` is the renderers'.
    """

    __slots__ = ("cache", "exemplars", "labels", "point", "seen", "start", "time")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.point: Point | None = None
        self.time = self.start = 0
        self.seen = float("-inf")
        self.exemplars: dict[int, Exemplar] = {}
        self.cache: dict[object, object] = {}


@dataclass
class Outcome:
    """What became of the points of a batch."""

    taken: int = 0
    late: int = 0
    """Not newer than what is held: repeated or out of order. Taken, but without effect."""
    unusable: dict[str, int] = field(default_factory=dict)
    """Dropped points by reason."""
    remarks: list[str] = field(default_factory=list)
    """What the user should hear, once."""

    def drop(self, problem: str, points: int = 1) -> None:
        """Count points that cannot be used."""
        if points:
            self.unusable[problem] = self.unusable.get(problem, 0) + points


def update(
    rows: Sequence[Series | None],
    times: Sequence[int],
    starts: Sequence[int],
    points: Iterable[Point | None],
    outcome: Outcome,
    *,
    now: float,
    delta: bool,
    plain: bool,
) -> set[str]:
    """Take points into their series, return problems met; a series of None is passed over.

    A cumulative point replaces what is not newer. A delta point is added when its time is later,
    whatever its start: a gap or another sender does not make the counter fall. Only where it cannot
    be added (other bounds, another type) it takes the place and the start.

    Args:
        plain: the points are numbers, which need no check.
    """
    taken = late = 0
    problems: set[str] = set()
    for series, time, start, point in zip(rows, times, starts, points, strict=True):
        if series is None:
            continue
        held = series.point
        if (point is None or not plain) and (problem := unusable(point, held)):
            outcome.drop(problem)
            problems.add(problem)
            continue
        taken += 1
        if time < series.time or (delta and held is not None and time == series.time):
            late += 1
            continue
        if delta and held is not None and (total := add(held, point)) is not None:
            series.point = total
        else:
            series.point = point
            series.start = start
        series.time = time
        series.seen = now
    outcome.taken += taken
    outcome.late += late
    return problems


def add(old: Point, new: Point | None) -> Point | None:
    """Return both together; None when they are not of a kind."""
    match old, new:
        case ((int() | float()), (int() | float())):
            return old + new
        case Histogram(), Histogram():
            return add_histograms(old, new)
        case Exponential(), Exponential():
            return add_exponentials(old, new)
        case _:
            return None


def unusable(point: Point | None, held: Point | None = None) -> str | None:
    """Say why a point cannot be exposed; what ``held`` has in common with it is known good."""
    if isinstance(point, Histogram):
        if len(point.counts) != len(point.bounds) + 1 and (point.counts or point.bounds):
            return "histogram counts do not fit the bounds"
        if isinstance(held, Histogram) and held.bounds is point.bounds:
            return None
        return None if ascending(point.bounds) else "histogram bounds do not ascend"
    if isinstance(point, Exponential):
        if point.scale < MIN_SCHEMA:
            return f"scale of an exponential histogram is below {MIN_SCHEMA}"
        if max(len(point.positive.counts), len(point.negative.counts)) > MOST_BUCKETS:
            return f"exponential histogram has more than {MOST_BUCKETS} buckets"
    return "no value" if point is None else None


def keep_exemplar(series: Series, exemplar: Exemplar) -> None:
    """Keep the latest exemplar of the bucket that the value falls into."""
    match series.point:
        case None | Summary():
            return  # a summary has nowhere to show one
        case Histogram(bounds=bounds):
            bucket = bucket_of(exemplar.value, bounds)
        case Exponential():
            bucket = frexp(exemplar.value)[1]
        case _:
            bucket = 0
    held = series.exemplars.get(bucket)
    if held is None or exemplar.time >= held.time:
        series.exemplars[bucket] = exemplar
