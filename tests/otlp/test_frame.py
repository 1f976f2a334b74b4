"""Columns hold what protobuf reads, value by value, in every level and type."""

import base64
import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import oracle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from strategies import KEYS, encodings, request, signals

from heliograph.errors import WireError
from heliograph.otlp import Batch, Signal

Row = list[Any]
KINDS = [None, "string", "bool", "int", "double", "array", "kvlist", "bytes"]
READ = {
    "": "string_value",
    ":str": "string_value",
    ":int": "int_value",
    ":double": "double_value",
    ":bool": "bool_value",
    ":bytes": "bytes_value",
}


def kind(value: AnyValue | None) -> int | None:
    if value is None:
        return None
    return KINDS.index((value.WhichOneof("value") or "").removesuffix("_value") or None)


def number(value: float) -> str:
    """A float as Go's JSON writes it."""
    if value and not 1e-6 <= abs(value) < 1e21:
        mantissa, _, exponent = f"{value!r}".partition("e")
        return f"{mantissa}e{'+' if int(exponent) > 0 else ''}{int(exponent)}"
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")


class Number(float):
    """A float that json writes as Go does."""

    def __repr__(self) -> str:
        return number(float(self))


def plain(value: AnyValue) -> Any:  # noqa: PLR0911 (one return a kind)
    match kind(value):
        case 0:
            return None
        case 4 if math.isinf(value.double_value):
            return "Infinity" if value.double_value > 0 else "-Infinity"
        case 4:
            return Number(value.double_value)
        case 5:
            return [plain(v) for v in value.array_value.values]
        case 6:
            return {e.key: plain(e.value) for e in value.kvlist_value.values}
        case 7:
            return base64.b64encode(value.bytes_value).decode()
    return getattr(value, str(value.WhichOneof("value")))


def compact(value: Any) -> str:
    match value:
        case Number():
            return repr(value)
        case list():
            return "[" + ",".join(compact(v) for v in value) + "]"
        case dict():
            inner = (f"{compact(k)}:{compact(value[k])}" for k in sorted(value, key=str.encode))
            return "{" + ",".join(inner) + "}"
    return json.dumps(value, ensure_ascii=False)


def text(value: AnyValue | None) -> str | None:
    if value is None:
        return None
    match kind(value):
        case 0:
            return ""
        case 1 | 7:
            return str(plain(value))
        case 4 if math.isinf(value.double_value):
            return f"json: unsupported value: {'+' if value.double_value > 0 else '-'}Inf"
    return compact(plain(value))


def get(entries: Any, key: str) -> AnyValue | None:
    return next((entry.value for entry in entries if entry.key == key), None)


def typed(value: AnyValue | None, member: str) -> Any:
    return getattr(value, member) if value is not None and value.HasField(member) else None


def of_value(path: str, find: Callable[[Row], AnyValue | None]) -> dict[str, Callable[[Row], Any]]:
    """Every way to read one value."""
    return {
        **{
            path + suffix: lambda row, member=member: typed(find(row), member)
            for suffix, member in READ.items()
        },
        f"{path}:text": lambda row: text(find(row)),
        f"{path}:json": lambda row: None if find(row) is None else compact(plain(find(row))),
        f"kind({path})": lambda row: kind(find(row)),
    }


def of_map(path: str, find: Callable[[Row], Any]) -> dict[str, Callable[[Row], Any]]:
    def entries(row: Row) -> list[dict[str, Any]]:
        return [{"key": e.key, "value": text(e.value), "kind": kind(e.value)} for e in find(row)]

    ways: dict[str, Callable[[Row], Any]] = {
        f"{path}:map": entries,
        f"{path}:json": lambda row: compact({e.key: plain(e.value) for e in find(row)}),
    }
    for key in KEYS[:5]:
        ways |= of_value(f'{path}["{key}"]', lambda row, key=key: get(find(row), key))
    return ways


def field(name: str) -> Callable[[Row], Any]:
    """A field by dotted name; None where the message has no such field, or absence is null."""

    def read(row: Row) -> Any:
        entity = row[-1]
        for part in name.split("."):
            if part not in entity.DESCRIPTOR.fields_by_name:
                return None
            described = entity.DESCRIPTOR.fields_by_name[part]
            scalar = not described.message_type and not described.is_repeated
            if scalar and described.has_presence and not entity.HasField(part):
                return None
            entity = getattr(entity, part)
        return list(entity) if described.is_repeated else entity

    return read


def quantiles(name: str) -> Callable[[Row], Any]:
    def read(row: Row) -> Any:
        if "quantile_values" not in row[-1].DESCRIPTOR.fields_by_name:
            return None
        return [getattr(value, name) for value in row[-1].quantile_values]

    return read


def of_data(name: str) -> Callable[[Row], Any]:
    def read(row: Row) -> Any:
        data = oracle.data_of(row[2])
        return getattr(data, name, None)

    return read


TYPES = [None, "gauge", "sum", "histogram", "exponential_histogram", "summary"]
SHARED: dict[str, Callable[[Row], Any]] = {
    **of_map("resource.attributes", lambda row: row[0].resource.attributes),
    "resource.schema_url": lambda row: row[0].schema_url,
    "resource.dropped_attributes_count": lambda row: row[0].resource.dropped_attributes_count,
    **of_map("scope.attributes", lambda row: row[1].scope.attributes),
    "scope.name": lambda row: row[1].scope.name,
    "instrumentation_scope.version": lambda row: row[1].scope.version,
    "scope.schema_url": lambda row: row[1].schema_url,
}
ITEM = {**SHARED, **of_map("attributes", lambda row: row[-1].attributes)}


def fields(*names: str) -> dict[str, Callable[[Row], Any]]:
    return {name: field(name) for name in names}


PATHS: dict[tuple[Signal, str], dict[str, Callable[[Row], Any]]] = {
    (Signal.TRACES, "item"): {
        **ITEM,
        **fields("trace_id", "span_id", "parent_span_id", "trace_state", "name", "kind", "flags"),
        **fields("start_time_unix_nano", "end_time_unix_nano", "status.code", "status.message"),
        **fields("dropped_attributes_count", "dropped_events_count", "dropped_links_count"),
        "span.trace_id.string": lambda row: row[-1].trace_id.hex(),
        "item.name": lambda row: row[-1].name,
    },
    (Signal.TRACES, "event"): {
        **of_map("attributes", lambda row: row[-1].attributes),
        **fields("name", "time_unix_nano"),
        "span.name": lambda row: row[2].name,
        "scope.name": lambda row: row[1].scope.name,
    },
    (Signal.TRACES, "link"): {
        **fields("trace_id", "span_id", "trace_state", "flags"),
        "item.span_id": lambda row: row[2].span_id,
    },
    (Signal.LOGS, "item"): {
        **ITEM,
        **of_value("body", lambda row: row[-1].body if row[-1].HasField("body") else None),
        **fields("time_unix_nano", "observed_time_unix_nano", "severity_number", "severity_text"),
        **fields("trace_id", "span_id", "flags", "event_name", "dropped_attributes_count"),
    },
    (Signal.LOGS, "resource"): {
        **of_map("attributes", lambda row: row[0].resource.attributes),
        "schema_url": lambda row: row[0].schema_url,
    },
    (Signal.METRICS, "metric"): {
        **of_map("metadata", lambda row: row[2].metadata),
        **fields("name", "unit", "description"),
        "type": lambda row: TYPES.index(row[2].WhichOneof("data")),
        "metric.aggregation_temporality": of_data("aggregation_temporality"),
        "is_monotonic": of_data("is_monotonic"),
    },
    (Signal.METRICS, "item"): {
        **ITEM,
        **fields("start_time_unix_nano", "time_unix_nano", "flags", "count", "sum", "min", "max"),
        **fields("bucket_counts", "explicit_bounds", "scale", "zero_count", "zero_threshold"),
        **fields("positive.offset", "positive.bucket_counts", "negative.bucket_counts"),
        "value_double": field("as_double"),
        "datapoint.value_int": field("as_int"),
        "quantile_values.quantile": quantiles("quantile"),
        "quantile_values.value": quantiles("value"),
        "metric.name": lambda row: row[2].name,
        "metric.type": lambda row: TYPES.index(row[2].WhichOneof("data")),
        "metric.is_monotonic": of_data("is_monotonic"),
    },
    (Signal.METRICS, "exemplar"): {
        **of_map("filtered_attributes", lambda row: row[-1].filtered_attributes),
        **fields("time_unix_nano", "trace_id", "span_id"),
        "value_double": field("as_double"),
        "value_int": field("as_int"),
        "datapoint.time_unix_nano": lambda row: row[3].time_unix_nano,
    },
}


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_columns_hold_what_protobuf_reads(data: Any) -> None:
    signal, level = data.draw(st.sampled_from(list(PATHS)))
    known = PATHS[signal, level]
    paths = data.draw(st.lists(st.sampled_from(list(known)), max_size=12, unique=True))
    wire = data.draw(encodings(signal))
    message = oracle.parsed(signal, wire)
    frame = Batch(signal, wire).frame(*paths, level=level)
    rows = oracle.rows(signal, message, level)
    above = oracle.parents(signal, message, level)
    names = [f"_{name}" for name in oracle.LEVELS[signal][: len(rows[0]) - 1]] if rows else []
    assert frame.columns[: len(names)] == names
    parents = frame.select(names).rows() if names else [()] * len(rows)
    assert parents == [tuple(row) for row in above]
    assert frame.height == len(rows)
    for path in paths:
        assert frame[path].to_list() == [known[path](row) for row in rows], path


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_raw_values_and_messages_read_as_themselves(data: Any) -> None:
    signal = data.draw(signals())
    wire = data.draw(encodings(signal))
    message = oracle.parsed(signal, wire)
    frame = Batch(signal, wire).frame("resource:raw", 'attributes["k"]:raw', "attributes:raw")
    for (resource, *_, item), (*_, raw, value, entries) in zip(
        oracle.rows(signal, message, "item"), frame.rows(), strict=True
    ):
        found = type(resource).FromString(raw)
        assert oracle.shell(signal, found) == oracle.shell(signal, resource)
        expected = get(item.attributes, "k")
        assert (value is None) == (expected is None)
        if value is not None:
            assert AnyValue.FromString(value) == expected
        assert list(type(item).FromString(entries).attributes) == list(item.attributes)


def test_metric_raw_keeps_what_is_not_a_point() -> None:
    message = request(Signal.METRICS, 5)
    batch = Batch(Signal.METRICS, message.SerializeToString())
    raws = batch.frame("metric:raw", level="metric")["metric:raw"]
    for row, raw in zip(oracle.rows(Signal.METRICS, message, "metric"), raws, strict=True):
        found = type(row[-1]).FromString(raw)
        assert found.WhichOneof("data") == row[-1].WhichOneof("data")
        assert oracle.shell(Signal.METRICS, found) == oracle.shell(Signal.METRICS, row[-1])


def body(value: AnyValue) -> Batch:
    message = request(Signal.LOGS, 0)
    message.Clear()
    record = message.resource_logs.add().scope_logs.add().log_records.add()
    record.body.CopyFrom(value)
    return Batch(Signal.LOGS, message.SerializeToString())


def test_paths_reach_into_values() -> None:
    value = AnyValue()
    inner = value.kvlist_value.values.add(key="a").value.array_value
    inner.values.add(int_value=1)
    inner.values.add().kvlist_value.values.add(key='q"', value=AnyValue(string_value="x"))
    frame = body(value).frame(
        'body["a"][0]:int', 'body["a"][1]["q\\""]', 'body["a"][2]', 'body[0]', 'kind(body["a"])',
        "body:map", "body.string",
    )  # fmt: skip
    assert frame.rows() == [
        (0, 0, 1, "x", None, None, 5,
         [{"key": "a", "value": '[1,{"q\\"":"x"}]', "kind": 5}], '{"a":[1,{"q\\"":"x"}]}')
    ]  # fmt: skip


def test_the_schema_depends_on_the_paths_only() -> None:
    paths = ["name", 'attributes["k"]:int', "attributes:map", 'kind(attributes["k"])', "trace_id"]
    full = Batch(Signal.TRACES, request(Signal.TRACES, 5).SerializeToString()).frame(*paths)
    empty = Batch(Signal.TRACES, b"").frame(*paths)
    assert full.schema == empty.schema
    assert full.schema["attributes:map"] == pl.List(
        pl.Struct({"key": pl.String, "value": pl.String, "kind": pl.UInt8})
    )


@pytest.mark.parametrize(
    ("signal", "level", "path", "message"),
    [
        (Signal.LOGS, "item", "name", "there are attributes, body,"),
        (Signal.LOGS, "item", "span.name", "span.name"),
        (Signal.TRACES, "resource", "span.name", "item is not above resource"),
        (Signal.TRACES, "item", "attributes[\"k", "not closed"),
        (Signal.TRACES, "item", "attributes[k]", "a key in quotes"),
        (Signal.TRACES, "item", "attributes:int", ":map, :json and :raw"),
        (Signal.TRACES, "item", 'attributes["k"]:float', "unknown type"),
        (Signal.TRACES, "item", "name:int", "a type of its own"),
        (Signal.TRACES, "item", "kind(name)", "a type of its own"),
        (Signal.TRACES, "item", "kind(body", "body"),
        (Signal.TRACES, "item", "", "a name is missing"),
        (Signal.TRACES, "item", "name extra", "from \" extra\" on"),
        (Signal.TRACES, "item", "status", "name a field in it"),
        (Signal.TRACES, "item", "resource", ":raw"),
        (Signal.TRACES, "item", 'name["k"]', "brackets"),
        (Signal.TRACES, "metric", "name", "no level"),
        (Signal.PROFILES, "item", "name", "no level"),
    ],
)  # fmt: skip
def test_paths_that_mean_nothing_are_refused(
    signal: Signal, level: str, path: str, message: str
) -> None:
    with pytest.raises(ValueError, match="(?s)" + re.escape(message)):
        Batch(signal, b"").frame(path, level=level)
    with pytest.raises(ValueError, match="asked for twice"):
        Batch(Signal.LOGS, b"").frame("body", "body")


def test_what_lies_deep_is_validated_when_it_is_read() -> None:
    wire = b"\x0a\x0b\x12\x09\x12\x07\x4a\x05\x0a\x01k\x12\x05"
    batch = Batch(Signal.TRACES, wire)
    assert batch.frame("name").height == 1
    with pytest.raises(WireError) as raised:
        batch.frame('attributes["k"]')
    assert raised.value.offset == 11


def test_values_are_read_to_a_bounded_depth() -> None:
    value = AnyValue(int_value=1)
    wire = value.SerializeToString()
    for _ in range(5000):
        array = b"\x0a" + length(wire) + wire
        wire = b"\x2a" + length(array) + array
    record = b"\x2a" + length(wire) + wire
    for number in (0x12, 0x12, 0x0A):
        record = bytes([number]) + length(record) + record
    batch = Batch(Signal.LOGS, record)
    with pytest.raises(WireError, match="nested too deeply"):
        batch.frame("body:text")
    assert batch.frame("kind(body)").rows() == [(0, 0, 5)]


def length(data: bytes) -> bytes:
    out, left = bytearray(), len(data)
    while left >= 0x80:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def test_a_map_is_not_multiplied_without_bound() -> None:
    message = request(Signal.LOGS, 0)
    message.Clear()
    resource = message.resource_logs.add()
    for _ in range(5000):
        resource.resource.attributes.add()
    resource.scope_logs.add().log_records.extend([LogRecord()] * 5000)
    batch = Batch(Signal.LOGS, message.SerializeToString())
    with pytest.raises(WireError, match="too many rows"):
        batch.frame("resource.attributes:map")
    assert batch.frame("attributes:map", level="resource").height == 1
