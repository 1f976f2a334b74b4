"""Edits do to a batch's bytes what is done to protobuf's objects."""

import hashlib
import random
import re
import struct
from collections.abc import Callable
from typing import Any

import oracle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from strategies import KEYS, TEXTS, encodings, request, seeds, signals

from heliograph.errors import WireError
from heliograph.otlp import (
    Batch,
    Convert,
    Copy,
    Delete,
    DeleteMatching,
    Edit,
    Edits,
    Extract,
    Hash,
    Set,
    Signal,
)

Attributes = Any
Step = tuple[Edit, Callable[[Attributes], None]]


def any_value(value: Any) -> AnyValue:  # noqa: PLR0911 (one return a type)
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            out = AnyValue()
            out.array_value.SetInParent()
            out.array_value.values.extend(any_value(v) for v in value)
            return out
    out = AnyValue()
    out.kvlist_value.SetInParent()
    for key, inner in value.items():
        out.kvlist_value.values.add(key=key, value=any_value(inner))
    return out


def put(attributes: Attributes, key: str, value: AnyValue, when: str = "always") -> None:
    places = [index for index, entry in enumerate(attributes) if entry.key == key]
    if (when == "missing" and places) or (when == "present" and not places):
        return
    for index in reversed(places[1:]):
        del attributes[index]
    if not places:
        attributes.add(key=key, value=value)
    elif attributes[places[0]].value != value:
        attributes[places[0]].Clear()
        attributes[places[0]].key = key
        attributes[places[0]].value.CopyFrom(value)


def get(attributes: Attributes, key: str) -> AnyValue | None:
    return next((entry.value for entry in attributes if entry.key == key), None)


def remove(attributes: Attributes, chosen: Callable[[str], Any]) -> None:
    for index in reversed(range(len(attributes))):
        if chosen(attributes[index].key):
            del attributes[index]


def hashed(value: AnyValue) -> AnyValue:
    match value.WhichOneof("value"):
        case "string_value":
            data = value.string_value.encode()
        case "bool_value":
            data = bytes([value.bool_value])
        case "int_value":
            data = struct.pack("<q", value.int_value)
        case "double_value":
            data = struct.pack("<d", value.double_value)
        case _:
            return any_value("")
    return any_value(hashlib.sha256(data).hexdigest())


def converted(  # noqa: PLR0911 (one return a case)
    value: AnyValue, kind: str
) -> AnyValue | None:
    match kind, value.WhichOneof("value"):
        case "int", "bool_value":
            return any_value(int(value.bool_value))
        case "int", "string_value":
            return any_value(int(value.string_value)) if value.string_value in INTS else None
        case "double", "int_value":
            return any_value(float(value.int_value))
        case "double", "bool_value":
            return any_value(float(value.bool_value))
        case "double", "string_value":
            text = value.string_value
            return any_value(float(text)) if text in {*INTS, "2.5"} else None
        case "string", "int_value":
            return any_value(str(value.int_value))
        case "string", "bool_value":
            return any_value(str(value.bool_value).lower())
    return None


INTS = {"1", "-17"}
VALUES = [*TEXTS, True, 7, -(2**63), 1.5, b"\0\xff", [1, "a", None, []], {"k": {"a": 2.5}}, None]


def step(rng: random.Random, prefix: str) -> Step:  # noqa: PLR0911 (one return a kind)
    """An edit of a map and the same done to protobuf's list of entries."""
    key, other = rng.choice(KEYS), rng.choice(KEYS)
    path, source = (f'{prefix}["{k}"]' for k in (key, other))
    when = rng.choice(["always", "missing", "present"])
    value = rng.choice(VALUES)
    pattern = rng.choice(["^k$", "a", "^$", "."])

    def copy(attributes: Attributes) -> None:
        if (found := get(attributes, other)) is not None:
            found = any_copy(found)
            put(attributes, key, found, when)

    def replace(make: Callable[[AnyValue], AnyValue | None], chosen: Callable[[str], Any]) -> Any:
        def run(attributes: Attributes) -> None:
            for name in dict.fromkeys(entry.key for entry in attributes if chosen(entry.key)):
                found = get(attributes, name)
                new = make(found) if found is not None else None
                if new is not None:
                    put(attributes, name, new)

        return run

    def extract(attributes: Attributes) -> None:
        found = get(attributes, key)
        if found is None or found.WhichOneof("value") != "string_value":
            return
        match = re.search(r"(?P<k>\w)(?P<new>:)?", found.string_value, re.ASCII)
        for name, text in (match.groupdict(default="") if match else {}).items():
            put(attributes, name, any_value(text))

    match rng.randint(0, 7):
        case 0 | 1:
            new = any_value(value)
            return Set(path, value, when=when), lambda a: put(a, key, new, when)  # type: ignore[arg-type]
        case 2:
            return Delete(path), lambda a: remove(a, lambda name: name == key)
        case 3:
            found = re.compile(pattern).search
            return DeleteMatching(prefix, pattern), lambda a: remove(a, found)
        case 4:
            return Copy(path, source, when=when), copy  # type: ignore[arg-type]
        case 5 if rng.random() < 0.5:
            return Hash(prefix, pattern), replace(hashed, re.compile(pattern).search)
        case 5:
            return Hash(path), replace(hashed, lambda name: name == key)
        case 6:
            return Extract(path, r"(?P<k>[0-9A-Za-z_])(?P<new>:)?"), extract
    kind: Any = rng.choice(["int", "double", "string"])
    return Convert(path, kind), replace(lambda v: converted(v, kind), lambda name: name == key)


def any_copy(value: AnyValue) -> AnyValue:
    out = AnyValue()
    out.CopyFrom(value)
    return out


TARGETS: dict[str, Callable[[Any], Any]] = {
    "attributes": lambda row: row[-1].attributes,
    "resource.attributes": lambda row: row[-1].resource.attributes,
    "scope.attributes": lambda row: row[-1].scope.attributes,
}


@given(data=st.data(), seed=seeds())
@settings(max_examples=120, deadline=None)
def test_attributes_are_edited_as_in_protobuf(data: Any, seed: int) -> None:
    rng = random.Random(seed)
    signal = data.draw(signals())
    wire = data.draw(encodings(signal))
    message = oracle.parsed(signal, wire)
    edits: list[Edit] = []
    for prefix, attributes in TARGETS.items():
        level = prefix.split(".", maxsplit=1)[0] if "." in prefix else "item"
        steps = [step(rng, prefix) for _ in range(rng.randint(0, 3))]
        edits += [edit for edit, _ in steps]
        for row in oracle.rows(signal, message, level):
            holder = attributes(row)
            if any(isinstance(edit, Convert) and convert_is_text(holder) for edit, _ in steps):
                return  # text of lists and doubles is another test's matter
            for _, run in steps:
                run(holder)
    edited = Batch(signal, wire).edit(Edits(edits))
    if edits:
        found = oracle.parsed(signal, edited.wire())
        assert without_new_parents(found, message) == message
    else:
        assert bytes(edited.wire()) == wire
    assert edited.items == Batch(signal, bytes(edited.wire())).items


def convert_is_text(holder: Any) -> bool:
    odd = {"double_value", "array_value", "kvlist_value", "bytes_value", None}
    return any(entry.value.WhichOneof("value") in odd for entry in holder)


def without_new_parents(found: Any, expected: Any) -> Any:
    """protobuf makes a parent when it is only looked at; compare what is in it."""
    for one, other in zip(parents(found), parents(expected), strict=True):
        for name in ("resource", "scope"):
            if name in one.DESCRIPTOR.fields_by_name:
                for entity in (one, other):
                    if not getattr(entity, name).ByteSize():
                        entity.ClearField(name)
    return found


def parents(message: Any) -> list[Any]:
    _, groups = message.ListFields()[0] if message.ListFields() else (None, [])
    out = []
    for group in groups:
        out.append(group)
        for field, scopes in group.ListFields():
            if field.name.startswith("scope_"):
                out += scopes
    return out


FIELDS = [
    (Signal.TRACES, "item", "name", "name", "new"),
    (Signal.TRACES, "item", "kind", "kind", 3),
    (Signal.TRACES, "item", "status.code", "status.code", 2),
    (Signal.TRACES, "item", "span_id", "span_id", b"12345678"),
    (Signal.TRACES, "event", "event.name", "name", "e"),
    (Signal.TRACES, "resource", "resource.schema_url", "schema_url", "u"),
    (Signal.LOGS, "item", "severity_number", "severity_number", 9),
    (Signal.LOGS, "item", "time_unix_nano", "time_unix_nano", 2**63 - 1),
    (Signal.LOGS, "item", "body", "body", {"a": 1}),
    (Signal.LOGS, "scope", "scope.version", "scope.version", "2"),
    (Signal.METRICS, "metric", "metric.unit", "unit", "By"),
    (Signal.METRICS, "item", "time_unix_nano", "time_unix_nano", 5),
    (Signal.METRICS, "item", "flags", "flags", 1),
    (Signal.METRICS, "metric", "metric.is_monotonic", "sum.is_monotonic", True),
    (Signal.METRICS, "item", "value_int", "as_int", -3),
    (Signal.METRICS, "item", "scale", "scale", -2),
]


def assign(entity: Any, names: str, value: Any) -> None:
    """Set a field by its dotted name, where the entity has it."""
    first, _, rest = names.partition(".")
    if first not in entity.DESCRIPTOR.fields_by_name:
        return
    if rest:
        if first != "sum" or entity.HasField("sum"):
            assign(getattr(entity, first), rest, value)
    elif isinstance(value, dict):
        getattr(entity, first).CopyFrom(any_value(value))
    else:
        setattr(entity, first, value)


@pytest.mark.parametrize("case", FIELDS, ids=[case[2] for case in FIELDS])
@given(data=st.data(), seed=seeds())
@settings(max_examples=15, deadline=None)
def test_fields_are_set_on_some_rows(case: Any, data: Any, seed: int) -> None:
    signal, level, path, names, value = case
    wire = data.draw(encodings(signal))
    message = oracle.parsed(signal, wire)
    rows = oracle.rows(signal, message, level)
    mask = [random.Random(seed + index).random() < 0.5 for index in range(len(rows))]
    for row, chosen in zip(rows, mask, strict=True):
        if chosen:
            assign(row[-1], names, value)
    edited = Batch(signal, wire).edit([Set(path, value, rows=pl.Series(mask, dtype=pl.Boolean))])
    assert oracle.parsed(signal, edited.wire()) == message


@given(data=st.data(), seed=seeds())
@settings(max_examples=100, deadline=None)
def test_a_column_sets_each_row(data: Any, seed: int) -> None:
    signal = data.draw(signals())
    wire = data.draw(encodings(signal))
    message = oracle.parsed(signal, wire)
    rows = oracle.rows(signal, message, "item")
    rng = random.Random(seed)
    values = [rng.choice([None, "", "short", "longer than twelve bytes"]) for _ in rows]
    for row, value in zip(rows, values, strict=True):
        if value is not None:
            put(row[-1].attributes, "k", any_value(value))
    column = pl.Series(values, dtype=pl.String)
    edited = Batch(signal, wire).edit([Set('attributes["k"]', column)])
    assert oracle.parsed(signal, edited.wire()) == message


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Float32, pl.Boolean, pl.Binary])
def test_columns_of_many_types_are_written(dtype: Any) -> None:
    message = request(Signal.LOGS, 5)
    values = [b"a", b"", b"b", b"c"] if dtype == pl.Binary else [1, 0, 1, 1]
    column = pl.Series(values).cast(dtype)
    edited = Batch(Signal.LOGS, message.SerializeToString()).edit([Set("body", column)])
    rows = oracle.rows(Signal.LOGS, oracle.parsed(Signal.LOGS, edited.wire()), "item")
    assert [row[-1].body for row in rows] == [any_value(value) for value in column.to_list()]


def test_copies_reach_up_and_across() -> None:
    message = request(Signal.TRACES, 5)
    for resource in message.resource_spans:
        put(resource.resource.attributes, "up", any_value(7))
    batch = Batch(Signal.TRACES, message.SerializeToString())
    edited = batch.edit([
        Copy('attributes["from.resource"]', 'resource.attributes["up"]'),
        Copy('attributes["from.name"]', "name"),
        Copy("name", 'attributes["from.resource"]'),
        Copy('attributes["none"]', 'attributes["not there"]'),
    ])  # fmt: skip
    found = oracle.rows(Signal.TRACES, oracle.parsed(Signal.TRACES, edited.wire()), "item")
    for old, new in zip(oracle.rows(Signal.TRACES, message, "item"), found, strict=True):
        assert get(new[-1].attributes, "from.resource") == any_value(7)
        assert get(new[-1].attributes, "from.name") == any_value(old[-1].name)
        assert new[-1].name == old[-1].name  # the source is as it was: not there
        assert get(new[-1].attributes, "none") is None


def test_conversion_to_text_is_the_collectors() -> None:
    message = request(Signal.LOGS, 5)
    values = [1.5, [1, "a"], b"\0", {"b": None, "a": True}]
    for row, value in zip(oracle.rows(Signal.LOGS, message, "item"), values, strict=True):
        row[-1].body.CopyFrom(any_value(value))
    batch = Batch(Signal.LOGS, message.SerializeToString()).edit([Convert("body", "string")])
    assert batch.frame("body")["body"].to_list() == [
        "1.5",
        '[1,"a"]',
        "AA==",
        '{"a":true,"b":null}',
    ]


def test_an_edit_that_changes_nothing_keeps_the_bytes() -> None:
    wire = request(Signal.TRACES, 5).SerializeToString()
    batch = Batch(Signal.TRACES, wire)
    once = batch.edit([Set('attributes["k"]', 1), Set("resource.schema_url", "u")])
    twice = once.edit([Set('attributes["k"]', 1), Set("resource.schema_url", "u")])
    assert bytes(once.wire()) == bytes(twice.wire()) != wire
    assert bytes(batch.edit([]).wire()) == wire
    assert batch.edit([]).context == batch.context


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda: Set("nope", 1), "nope"),
        (lambda: Set("name", 1), "does not fit"),
        (lambda: Set('attributes["k"]["inner"]', 1), "not a value inside it"),
        (lambda: Set("attributes", {}), "whole map"),
        (lambda: Set('attributes["k"]:int', 1), "without a type"),
        (lambda: Hash("name"), "hashed"),
        (lambda: Hash('attributes["k"]', "x"), "a pattern needs a whole map"),
        (lambda: Extract("attributes", "(?P<a>.)"), "whole map"),
        (lambda: Set("name", "x", rows=[True]), "a mask of 1 for 7 rows of item"),
        (lambda: Set("name", "x", rows=[7]), "row numbers of 8 for 7 rows"),
        (
            lambda: Set("resource.schema_url", pl.Series(["u"])),
            "a column of 1 for 3 rows of resource",
        ),
        (lambda: Set("name", "x", when="never"), "always, missing or present"),
        (lambda: DeleteMatching("attributes", "("), "unclosed"),
        (lambda: Extract('attributes["k"]', "a"), "no named group"),
        (lambda: Convert('attributes["k"]', "bool"), "int, double or string"),
    ],
)
def test_what_makes_no_sense_is_refused(edit: Callable[[], Edit], message: str) -> None:
    batch = Batch(Signal.TRACES, request(Signal.TRACES, 5).SerializeToString())
    with pytest.raises(ValueError, match=re.escape(message)):
        batch.edit([edit()])


def test_a_value_of_no_type_is_refused() -> None:
    with pytest.raises(TypeError, match="not set"):
        Set("name", {1, 2})  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        Set("name", 2**63)
    with pytest.raises(ValueError, match="profiles"):
        Batch(Signal.PROFILES, b"").edit([Delete("name")])


def test_malformed_attributes_are_found_where_they_are_edited() -> None:
    wire = b"\x0a\x08\x12\x06\x12\x04\x4a\x02\x0a\x05"
    batch = Batch(Signal.TRACES, wire)
    with pytest.raises(WireError) as raised:
        batch.edit([Delete('attributes["k"]')])
    assert raised.value.offset == 8
