"""Arithmetic on histograms."""

import math

from hypothesis import given
from hypothesis import strategies as st

from heliograph.exporters._prometheus.points import (
    CLASSIC_BOUNDS,
    Exponential,
    Histogram,
    Side,
    add_exponentials,
    add_histograms,
    ascending,
    bucket_of,
    classic,
    rescale,
    spans,
)

sides = st.builds(Side, st.integers(-3000, 3000), st.lists(st.integers(0, 9), max_size=200))


NOTHING = Side(0, ())


def exponential(
    positive: Side, negative: Side = NOTHING, scale: int = 0, zeros: int = 0
) -> Exponential:
    size = sum(positive.counts) + sum(negative.counts) + zeros
    return Exponential(size, 1.5, scale, zeros, 0.0, positive, negative)


exponentials = st.builds(exponential, sides, sides, st.integers(-4, 20), st.integers(0, 9))


def test_histograms_with_the_same_bounds_are_added() -> None:
    a, b = Histogram(3, 1.5, [1.0], [1, 2]), Histogram(4, 2.5, [1.0], [4, 0])
    assert add_histograms(a, b) == Histogram(7, 4.0, [1.0], [5, 2])
    assert add_histograms(a, b._replace(sum=None)) == Histogram(7, None, [1.0], [5, 2])
    assert add_histograms(a, b._replace(bounds=[2.0])) is None


def test_bounds() -> None:
    assert ascending([-1.0, 0.0, math.inf])
    assert not ascending([1.0, 1.0])
    assert not ascending([0.0, math.nan])
    assert [bucket_of(x, [1.0, 2.0]) for x in (0.5, 1.0, 1.5, 3.0)] == [0, 0, 1, 2]


def test_rescaling_halves_the_index_downwards() -> None:
    point = exponential(Side(-3, (1, 2, 3, 4)), scale=1)
    assert rescale(point, 0).positive == Side(-2, [1, 5, 4])
    assert rescale(point, 5) is point


@given(exponentials, exponentials)
def test_adding_keeps_every_measurement(a: Exponential, b: Exponential) -> None:
    total = add_exponentials(a, b)
    assert total is not None
    assert total.scale == min(a.scale, b.scale)
    assert sum(total.positive.counts) == sum(a.positive.counts) + sum(b.positive.counts)
    assert sum(total.negative.counts) == sum(a.negative.counts) + sum(b.negative.counts)


def test_too_wide_a_sum_is_a_reset() -> None:
    assert add_exponentials(exponential(Side(0, (1,))), exponential(Side(10**6, (1,)))) is None


@given(exponentials)
def test_the_classic_form_keeps_every_measurement(point: Exponential) -> None:
    shown = classic(point)
    assert sum(shown.counts) == point.size
    assert ascending(shown.bounds)
    assert len(shown.bounds) <= CLASSIC_BOUNDS
    assert len(shown.counts) == (len(shown.bounds) + 1 if shown.bounds else 0)


def test_the_classic_form_has_powers_of_two() -> None:
    point = exponential(Side(2, (5, 0, 7)), Side(0, (3,)), zeros=2)
    assert classic(point) == Histogram(
        17, 1.5, [-2.0, -1.0, 4.0, 8.0, 16.0, 32.0], [0, 3, 2, 5, 0, 7, 0]
    )


def unspanned(found: list[tuple[int, int]], deltas: list[int]) -> dict[int, int]:
    """Read spans and deltas as Prometheus does: index of the upper bound to count."""
    counts, values = {}, iter(deltas)
    index = value = 0
    for offset, length in found:
        index += offset
        for _ in range(length):
            value += next(values)
            counts[index] = value
            index += 1
    assert next(values, None) is None
    return {index: count for index, count in counts.items() if count}


@given(sides)
def test_spans_say_the_same_as_the_dense_form(side: Side) -> None:
    dense = {index: n for index, n in enumerate(side.counts, side.offset + 1) if n}
    assert unspanned(*spans(side)) == dense


def test_spans_of_the_specifications_example() -> None:
    assert spans(Side(3, (10, 0, 0, 0, 20, 5, 2))) == ([(4, 1), (3, 3)], [10, 10, -15, -3])
