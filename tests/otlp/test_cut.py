"""Take, split, partition and join do to a batch's bytes what is done to protobuf's objects."""

import random
from typing import Any

import oracle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import encodings, request, seeds, signals

from heliograph.otlp import Batch, Context, Signal


@given(data=st.data(), seed=seeds())
@settings(max_examples=150, deadline=None)
def test_take_keeps_rows_of_any_level(data: Any, seed: int) -> None:
    signal = data.draw(signals())
    level = data.draw(st.sampled_from(oracle.LEVELS[signal]))
    wire = data.draw(encodings(signal))
    message = oracle.parsed(signal, wire)
    count = len(oracle.rows(signal, message, level))
    mask = [random.Random(seed + row).random() < 0.6 for row in range(count)]
    expected = oracle.take(signal, message, level, lambda row: mask[row])
    numbers = [row for row in range(count) if mask[row]]
    batch = Batch(signal, wire)
    for taken in (
        batch.take(mask, level),
        batch.take(pl.Series(mask, dtype=pl.Boolean), level),
        batch.take(numbers, level),
        batch.take(pl.Series(numbers[::-1], dtype=pl.UInt32), level),
    ):
        assert oracle.parsed(signal, taken.wire()) == expected
        assert taken.items == len(oracle.rows(signal, expected, "item"))
    assert bytes(batch.take([True] * count, level).wire()) == wire


def test_rows_that_are_not_there_are_refused() -> None:
    batch = Batch(Signal.LOGS, request(Signal.LOGS, 5).SerializeToString())
    assert batch.items == 4
    with pytest.raises(ValueError, match="the mask has 3 rows, the batch has 4"):
        batch.take([True] * 3)
    with pytest.raises(ValueError, match="5 rows"):
        batch.take([True] * 5)
    with pytest.raises(IndexError, match="no row 4"):
        batch.take([4])
    with pytest.raises(IndexError, match="no row -1"):
        batch.take([-1])
    with pytest.raises(TypeError, match="rows are"):
        batch.take(["x"])  # type: ignore[arg-type, list-item]
    with pytest.raises(TypeError, match="rows are"):
        batch.take(pl.Series(["x"]))
    with pytest.raises(ValueError, match="level"):
        batch.take([], "metric")
    assert batch.take(pl.Series([True, None, None, True])).items == 2


@given(data=st.data(), items=st.integers(1, 9))
@settings(max_examples=120, deadline=None)
def test_split_by_items_and_join_lose_nothing(data: Any, items: int) -> None:
    signal = data.draw(signals())
    wire = data.draw(encodings(signal))
    message = oracle.parsed(signal, wire)
    batch = Batch(signal, wire)
    pieces = batch.split(items=items)
    assert all(piece.items <= items for piece in pieces)
    assert all(piece.items == items for piece in pieces[:-1])
    assert oracle.same([oracle.parsed(signal, p.wire()) for p in pieces], message, signal)
    joined = Batch.join(pieces)
    assert joined.items == batch.items == sum(piece.items for piece in pieces)
    assert oracle.same([oracle.parsed(signal, joined.wire())], message, signal)


@given(data=st.data(), nbytes=st.integers(1, 3000))
@settings(max_examples=120, deadline=None)
def test_split_by_bytes_keeps_the_limit(data: Any, nbytes: int) -> None:
    signal = data.draw(signals())
    wire = data.draw(encodings(signal))
    batch = Batch(signal, wire)
    pieces = batch.split(nbytes=nbytes)
    for piece in pieces:
        assert piece.nbytes <= nbytes or piece.items <= 1
    expected = oracle.parsed(signal, wire)
    assert oracle.same([oracle.parsed(signal, p.wire()) for p in pieces], expected, signal)


def test_split_keeps_groups_without_items_and_unknown_fields() -> None:
    empty = b"\x0a\x02\x1a\x00"
    wire = empty + request(Signal.LOGS, 5).SerializeToString() + empty + b"\xa0\x06\x01"
    pieces = Batch(Signal.LOGS, wire).split(items=1)
    joined = b"".join(bytes(piece.wire()) for piece in pieces)
    assert joined.count(empty) == 2
    assert bytes(pieces[0].wire()).startswith(b"\xa0\x06\x01" + empty)


def test_a_batch_that_fits_is_not_cut() -> None:
    batch = Batch(Signal.LOGS, request(Signal.LOGS, 5).SerializeToString())
    assert [bytes(p.wire()) for p in batch.split(items=4, nbytes=10**6)] == [bytes(batch.wire())]
    with pytest.raises(ValueError, match="limit"):
        batch.split(items=0)
    profiles = Batch(Signal.PROFILES, b"\x0a\x00")
    assert [p.nbytes for p in profiles.split(nbytes=1)] == [2]


PATHS = {
    Signal.TRACES: [
        ("trace_id", lambda r, s, x: x.trace_id),
        ("kind", lambda r, s, x: x.kind),
        ("resource.schema_url", lambda r, s, x: r.schema_url),
    ],
    Signal.METRICS: [
        ("metric.name", lambda r, s, m, x: m.name),
        ("metric.type", lambda r, s, m, x: TYPES.index(m.WhichOneof("data"))),
    ],
    Signal.LOGS: [
        ("severity_text", lambda r, s, x: x.severity_text),
        ("resource.dropped_attributes_count", lambda r, s, x: r.resource.dropped_attributes_count),
    ],
}
TYPES = [None, "gauge", "sum", "histogram", "exponential_histogram", "summary"]


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_partition_groups_items_by_value(data: Any) -> None:
    signal = data.draw(signals())
    wire = data.draw(encodings(signal))
    path, value = data.draw(st.sampled_from(PATHS[signal]))
    message = oracle.parsed(signal, wire)
    rows = oracle.rows(signal, message, "item")
    flat = oracle.flat(signal, message)
    expected: dict[Any, list[Any]] = {}
    for row, item in zip(rows, flat, strict=True):
        expected.setdefault(value(*row), []).append(item)
    found = Batch(signal, wire).partition(path)
    assert [key for key, _ in found] == list(expected)
    for key, part in found:
        assert oracle.flat(signal, oracle.parsed(signal, part.wire())) == expected[key]
        assert part.items == len(expected[key])


def test_partition_tells_absent_from_empty() -> None:
    message = request(Signal.LOGS, 5)
    records = [row[-1] for row in oracle.rows(Signal.LOGS, message, "item")]
    for record, value in zip(records, [None, "", "x", ""], strict=True):
        del record.attributes[:]
        if value is not None:
            entry = record.attributes.add(key="tenant")
            entry.value.string_value = value
    batch = Batch(Signal.LOGS, message.SerializeToString())
    parts = batch.partition('attributes["tenant"]')
    assert [(key, part.items) for key, part in parts] == [(None, 1), ("", 2), ("x", 1)]
    assert Batch(Signal.LOGS, b"").partition("body") == []
    with pytest.raises(ValueError, match="a list is not a key"):
        batch.partition("attributes")


def test_join_never_mixes_senders() -> None:
    empty = Batch(Signal.LOGS, b"")
    one = empty.with_context(Context({"tenant": ["a"]}, peer="x", deadline=5.0))
    two = empty.with_context(Context({"tenant": ["a"]}, peer="y", deadline=3.0))
    joined = Batch.join([one, two, one.with_context(Context({"tenant": ["a"]}, peer="x"))])
    assert joined.context == Context({"tenant": ["a"]}, deadline=3.0)
    for other in (
        empty,
        empty.with_context(Context({"tenant": ["b"]})),
        empty.with_context(Context({"tenant": ["a"]}, auth={"sub": "me"})),
        Batch(Signal.TRACES, b"", one.context),
    ):
        with pytest.raises(ValueError, match="cannot be joined"):
            Batch.join([one, other])
    with pytest.raises(ValueError, match="profiles"):
        Batch.join([Batch(Signal.PROFILES, b"")] * 2)
    with pytest.raises(ValueError, match="no batch"):
        Batch.join([])
    assert Batch.join([one]).context == one.context
