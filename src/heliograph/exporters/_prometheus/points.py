"""What a series holds besides a plain number, and the arithmetic on it."""

import math
import sys
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from operator import add as plus
from typing import NamedTuple

MIN_SCHEMA, MAX_SCHEMA = -4, 8
"""Scales that a Prometheus native histogram can have."""
DEFAULT_ZERO_THRESHOLD = 1e-128
CLASSIC_BOUNDS = 40
"""At most so many bounds when an exponential histogram is shown as a classic one."""
MOST_BUCKETS = 100_000
"""More buckets on one side than this are not kept: the sender chose offset and scale."""


class Histogram(NamedTuple):
    """A histogram of ``size`` measurements; one count more than bounds, or none of either."""

    size: int
    sum: float | None
    bounds: Sequence[float]
    counts: Sequence[int]


class Side(NamedTuple):
    """Buckets of one sign: ``counts[i]`` counts (base^(offset+i), base^(offset+i+1)]."""

    offset: int
    counts: Sequence[int]


class Exponential(NamedTuple):
    """An exponential histogram; base = 2 ** 2 ** -scale."""

    size: int
    sum: float | None
    scale: int
    zero_count: int
    zero_threshold: float
    positive: Side
    negative: Side


class Summary(NamedTuple):
    """A summary; ``quantiles`` are (quantile, value), ascending."""

    size: int
    sum: float | None
    quantiles: Sequence[tuple[float, float]]


def ascending(bounds: Sequence[float]) -> bool:
    """Whether each bound is above the one before it; NaN is above nothing."""
    return all(a < b for a, b in pairwise(bounds))


def add_histograms(old: Histogram, new: Histogram) -> Histogram | None:
    """Return both together; None when their bounds differ, which makes the new one a reset."""
    if (old.bounds is not new.bounds and old.bounds != new.bounds) or len(old.counts) != len(
        new.counts
    ):
        return None
    return Histogram(
        old.size + new.size,
        _add_sums(old.sum, new.sum),
        new.bounds,
        list(map(plus, old.counts, new.counts)),
    )


def add_exponentials(old: Exponential, new: Exponential) -> Exponential | None:
    """Return both together at the coarser scale and the wider zero bucket.

    None when the result would have more than `MOST_BUCKETS`, which makes the new one a reset.
    """
    scale = min(old.scale, new.scale)
    a, b = rescale(old, scale), rescale(new, scale)
    positive, negative = _add_sides(a.positive, b.positive), _add_sides(a.negative, b.negative)
    if positive is None or negative is None:
        return None
    return Exponential(
        a.size + b.size,
        _add_sums(a.sum, b.sum),
        scale,
        a.zero_count + b.zero_count,
        max(a.zero_threshold, b.zero_threshold),
        positive,
        negative,
    )


def rescale(point: Exponential, scale: int) -> Exponential:
    """Return the same at a coarser scale; a finer one is not to be had and changes nothing."""
    shift = point.scale - scale
    if shift <= 0:
        return point
    return point._replace(
        scale=scale,
        positive=_coarser(point.positive, shift),
        negative=_coarser(point.negative, shift),
    )


def classic(point: Exponential) -> Histogram:
    """Return the histogram at explicit bounds, for formats without native histograms.

    Bounds are powers of two, or of 4, 16, 256, … so that there are at most `CLASSIC_BOUNDS`;
    a coarser choice keeps a part of the finer one's bounds, so series go on.
    """
    point = rescale(point, min(point.scale, 0))
    positive, negative = _trimmed(point.positive), _trimmed(point.negative)
    while len(positive.counts) + len(negative.counts) > CLASSIC_BOUNDS - 3:
        positive, negative = _coarser(positive, 1), _coarser(negative, 1)
        point = point._replace(scale=point.scale - 1)
    power = 2.0**-point.scale
    bounds: list[float] = []
    counts: list[int] = []

    def put(bound: float, count: int) -> None:
        if bounds and bound <= bounds[-1]:
            counts[-1] += count
        else:
            bounds.append(bound)
            counts.append(count)

    if negative.counts:
        last = negative.offset + len(negative.counts)
        put(-_bound(last, power), 0)
        for index, count in enumerate(reversed(negative.counts), 1 - last):
            put(-_bound(-index, power), count)
    if point.zero_count or positive.counts:
        edge = _bound(positive.offset, power) if positive.counts else point.zero_threshold
        put(edge, point.zero_count)
    for index, count in enumerate(positive.counts, positive.offset + 1):
        put(_bound(index, power), count)
    return Histogram(point.size, point.sum, bounds, [*counts, 0] if bounds else [])


def bucket_of(value: float, bounds: Sequence[float]) -> int:
    """Return which bucket a value falls into; the last one is above every bound."""
    return bisect_left(bounds, value)


def spans(side: Side) -> tuple[list[tuple[int, int]], list[int]]:
    """Return a native histogram's spans (offset, length) and count deltas.

    Prometheus numbers a bucket by its upper bound, OpenTelemetry by its lower one. A gap of up to
    two empty buckets is written out: that is no longer than another span.
    """
    found: list[list[int]] = []
    deltas: list[int] = []
    before = last = 0
    end: int | None = None
    for index, count in enumerate(side.counts, side.offset + 1):
        if not count:
            continue
        if end is not None and index - end <= 2:
            for _ in range(index - end):
                deltas.append(-last)
                last = 0
            found[-1][1] += index - end + 1
        else:
            found.append([index - before, 1])
        deltas.append(count - last)
        last, before, end = count, index + 1, index + 1
    return [(offset, length) for offset, length in found], deltas


def _bound(index: int, power: float) -> float:
    try:
        return float(math.pow(2.0, index * power))
    except OverflowError:
        return sys.float_info.max


def _trimmed(side: Side) -> Side:
    counts = side.counts
    first = next((at for at, count in enumerate(counts) if count), None)
    if first is None:
        return Side(0, ())
    last = next(at for at in range(len(counts), 0, -1) if counts[at - 1])
    return Side(side.offset + first, counts[first:last])


def _coarser(side: Side, shift: int) -> Side:
    if not side.counts:
        return side
    offset = side.offset >> shift
    counts = [0] * (((side.offset + len(side.counts) - 1) >> shift) - offset + 1)
    for index, count in enumerate(side.counts, side.offset):
        counts[(index >> shift) - offset] += count
    return Side(offset, counts)


def _add_sides(a: Side, b: Side) -> Side | None:
    if not a.counts or not b.counts:
        return a if a.counts else b
    offset = min(a.offset, b.offset)
    width = max(a.offset + len(a.counts), b.offset + len(b.counts)) - offset
    if width > MOST_BUCKETS:
        return None
    counts = [0] * width
    for side in (a, b):
        for index, count in enumerate(side.counts, side.offset - offset):
            counts[index] += count
    return Side(offset, counts)


def _add_sums(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    return a + b
