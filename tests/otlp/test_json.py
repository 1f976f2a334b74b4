"""OTLP/JSON means what protobuf's JSON means, but for the rules that OTLP has of its own.

The oracle is protobuf's json_format with OTLP's rules put on top: ids are hex, enums are numbers.
"""

import base64
import json
import random
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from heliograph.errors import WireError
from heliograph.otlp import Batch, Signal

REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
F = FieldDescriptor
INTEGERS = {
    F.TYPE_INT32: (-(2**31), 2**31 - 1),
    F.TYPE_SINT32: (-(2**31), 2**31 - 1),
    F.TYPE_UINT32: (0, 2**32 - 1),
    F.TYPE_FIXED32: (0, 2**32 - 1),
    F.TYPE_INT64: (-(2**63), 2**63 - 1),
    F.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    F.TYPE_UINT64: (0, 2**64 - 1),
    F.TYPE_FIXED64: (0, 2**64 - 1),
}


TEXTS = ["", "a", "http.route", '\0\x1f\x7f"\\/\b\f\n\r\t', "é\u2028\uffff😀", "x" * 200]
DOUBLES = [0.0, -0.0, 1.0, 0.1, -1e-7, 123456789012345680.0, 1e21, 5e-324, 1.7976931348623157e308]
NOT_NUMBERS = [float("nan"), float("inf"), float("-inf")]


def scalar(rng: random.Random, field: FieldDescriptor) -> object:
    match field.type:
        case F.TYPE_STRING:
            return rng.choice(TEXTS)
        case F.TYPE_BYTES:
            return rng.randbytes(IDS.get(field.json_name) or rng.randrange(8))
        case F.TYPE_DOUBLE:
            return rng.choice([*DOUBLES, *NOT_NUMBERS, rng.random(), rng.gauss(0, 1e200)])
        case F.TYPE_BOOL:
            return rng.random() < 0.5
        case F.TYPE_ENUM:
            return rng.choice([0, 1, 2, 5, 24, 30, -1])
    low, high = INTEGERS[field.type]
    return rng.choice([low, 0, 1, high, rng.randint(low, high)])


def fill(rng: random.Random, message: Message, depth: int = 0) -> None:
    """Set any of the fields, one of each oneof."""
    descriptor: Descriptor = message.DESCRIPTOR
    oneofs = [oneof for oneof in descriptor.oneofs if not oneof.name.startswith("_")]
    chosen = [rng.choice([*oneof.fields, None]) for oneof in oneofs]
    for field in descriptor.fields:
        if field not in chosen if field.containing_oneof in oneofs else rng.random() < 0.3:
            continue
        if field.is_repeated:
            for _ in range(rng.choice([0, 1, 2, 3]) if depth < 8 else 0):
                if field.message_type:
                    fill(rng, getattr(message, field.name).add(), depth + 1)
                else:
                    getattr(message, field.name).append(scalar(rng, field))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            fill(rng, getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, scalar(rng, field))


@st.composite
def requests(draw: st.DrawFn) -> tuple[Signal, Message]:
    """A request of any signal; hypothesis chooses the seed only, which is twenty times as fast."""
    signal = draw(st.sampled_from(list(REQUESTS)))
    message = REQUESTS[signal]()
    fill(random.Random(draw(st.integers(0, 2**32))), message)
    return signal, message


def otlp(value: Any, key: str = "") -> Any:
    """Put OTLP's rules on top of what json_format wrote."""
    if isinstance(value, dict):
        return {name: otlp(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [otlp(inner) for inner in value]
    return base64.b64decode(value).hex() if key in IDS else value


def read(text: bytes) -> Any:
    """Parse with every number a float: what has no fraction may still be a double."""
    return json.loads(text, parse_int=float)


def expected(message: Message) -> Any:
    return otlp(json_format.MessageToDict(message, use_integers_for_enums=True))


def disguise(rng: random.Random, value: Any, descriptor: Descriptor | None) -> Any:
    """Return other JSON of the same meaning."""
    if isinstance(value, list):
        return [disguise(rng, inner, descriptor) for inner in value]
    if not isinstance(value, dict):
        return value
    assert descriptor is not None
    entries = []
    for field in descriptor.fields:
        name = rng.choice([field.json_name, field.name])
        if field.json_name not in value:
            if rng.random() < 0.1:
                entries.append((name, None))
            continue
        inner = value[field.json_name]
        if field.message_type:
            inner = disguise(rng, inner, field.message_type)
        elif field.type in INTEGERS or field.type == F.TYPE_DOUBLE:
            numbers = inner if isinstance(inner, list) else [inner]
            spelt = [number if rng.random() < 0.5 else respell(number) for number in numbers]
            inner = spelt if isinstance(inner, list) else spelt[0]
        elif field.enum_type and rng.random() < 0.5:
            named = field.enum_type.values_by_number.get(inner)
            inner = named.name if named else str(inner)
        elif field.json_name in IDS and rng.random() < 0.5:
            inner = inner.upper()
        entries.append((name, inner))
    if rng.random() < 0.2:
        entries.append(("unknown", rng.choice([None, [1, {"a": ["😀", -1.5e-3]}], {}])))
    rng.shuffle(entries)
    return dict(entries)


def respell(number: Any) -> Any:
    """A number as a string, a string as a number, where both may be."""
    if isinstance(number, str):
        return number if number.lstrip("-").isalpha() else int(number)
    return json.dumps(number)


@settings(deadline=None, max_examples=150)
@given(requests())
def test_wire_to_json_is_what_protobuf_writes(case: tuple[Signal, Message]) -> None:
    signal, message = case
    batch = Batch(signal, message.SerializeToString())
    assert read(batch.json()) == expected(message)


@settings(deadline=None, max_examples=150)
@given(requests())
def test_wire_to_json_to_wire_is_the_same_bytes(case: tuple[Signal, Message]) -> None:
    signal, message = case
    batch = Batch(signal, message.SerializeToString(deterministic=True))
    back = Batch.from_json(batch.json(), signal)
    assert bytes(back.wire()) == message.SerializeToString(deterministic=True)
    assert back.items == batch.items


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_json_of_any_spelling_means_the_same(data: st.DataObject) -> None:
    signal, message = data.draw(requests())
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    tree = disguise(rng, expected(message), message.DESCRIPTOR)
    text = json.dumps(
        tree,
        ensure_ascii=data.draw(st.booleans()),
        indent=data.draw(st.sampled_from([None, 1, "\t\r\n"])),
    )
    back = REQUESTS[signal].FromString(bytes(Batch.from_json(text.encode(), signal).wire()))
    # NaN is not equal to itself; its text is.
    assert str(back) == str(message)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_fields_that_come_twice_are_merged_as_protobuf_merges(data: st.DataObject) -> None:
    signal, first = data.draw(requests())
    second = REQUESTS[signal]()
    fill(random.Random(data.draw(st.integers(0, 2**32))), second)
    field = first.DESCRIPTOR.fields[0]
    parts = [message for each in (first, second) for message in getattr(each, field.name)]
    body = b"".join(part.SerializeToString() for part in parts)
    merged = REQUESTS[signal]()
    getattr(merged, field.name).add().ParseFromString(body)
    size = len(body)
    prefix = bytearray([field.number << 3 | 2])
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    assert read(Batch(signal, bytes(prefix) + body).json()) == expected(merged)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_mutated_json_is_read_or_refused(data: st.DataObject) -> None:
    signal, message = data.draw(requests())
    text = bytearray(json.dumps(expected(message)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        replacement = data.draw(st.sampled_from(b'{}[]",:\\u0eE-+.\x00\xff\xc3nd1') | st.none())
        if replacement is None:
            del text[at : at + data.draw(st.integers(1, 9))]
        else:
            text[at : at + data.draw(st.integers(0, 1))] = bytes([replacement])
        if not text:
            break
    outcome = attempt(bytes(text), signal)
    if isinstance(outcome, WireError):
        assert 0 <= outcome.offset <= len(text)
    else:
        json.loads(text)
        REQUESTS[signal].FromString(bytes(outcome.wire()))


def attempt(text: bytes, signal: Signal) -> Batch | WireError:
    try:
        return Batch.from_json(text, signal)
    except WireError as error:
        return error


SPANS = (
    '{"resourceSpans": [{"scopeSpans": [{}, {"spans": [{"traceId": '
    '"5b8efff798038103d269b633813fc60c", "attributes": [{"key": "\\u00e9\\n", "value": '
    '{"arrayValue": {"values": [{"intValue": "-1"}, {"bytesValue": "AQI="}]}}}]}]}]}]}'
)


def test_every_shorter_text_is_refused() -> None:
    assert Batch.from_json(SPANS.encode(), Signal.TRACES).items == 1
    for end in range(len(SPANS)):
        with pytest.raises(WireError) as caught:
            Batch.from_json(SPANS[:end].encode(), Signal.TRACES)
        assert caught.value.offset <= end


def spans(fields: str) -> str:
    return f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}'


SPAN = "resourceSpans[0].scopeSpans[0].spans[0]"


@pytest.mark.parametrize(
    ("fields", "path", "message", "offset"),
    [
        ('"traceId":"00"', "traceId", "is not 32 hex digits", 10),
        ('"spanId":"000000000000000g"', "spanId", "is not 16 hex digits", 9),
        ('"kind":"SPAN_KIND_ODD"', "kind", "is neither a number nor a name of the enum", 7),
        ('"kind":1.5', "kind", "is neither a number nor a name of the enum", 7),
        ('"flags":4294967296', "flags", "is out of range", 8),
        ('"startTimeUnixNano":"-1"', "startTimeUnixNano", "is out of range", 20),
        ('"startTimeUnixNano":"0x1"', "startTimeUnixNano", "is not a number", 20),
        ('"startTimeUnixNano":1.5', "startTimeUnixNano", "is not a whole number", 20),
        ('"startTimeUnixNano":01', "startTimeUnixNano", "is not a number", 20),
        ('"name":3', "name", "is not a string", 7),
        ('"name":"\\ud800"', "name", "has a surrogate without its pair", 8),
        ('"name":"\\udc00\\ud800"', "name", "has a surrogate without its pair", 8),
        ('"name":"\\x"', "name", "has an unknown escape", 8),
        ('"name":"\\u00g0"', "name", "has \\u without four hex digits", 8),
        ('"name":"\n"', "name", "has a control character that is not escaped", 8),
        ('"name":"a","name":"b"', "name", "appears twice", 11),
        (
            '"start_time_unix_nano":1,"startTimeUnixNano":1',
            "startTimeUnixNano",
            "appears twice",
            25,
        ),
        ('"status":[]', "status", "is not an object", 9),
        ('"events":{}', "events", "is not an array", 9),
        ('"events":[null]', "events[0]", "is not an object", 10),
        ('"odd":[1,tru]', "odd", "is not JSON", 9),
        (
            '"attributes":[{"key":"a","value":{"intValue":1,"boolValue":true}}]',
            "attributes[0].value.boolValue",
            "stands beside intValue, and there can be only one",
            47,
        ),
        (
            '"attributes":[{},{"value":{"bytesValue":"*"}}]',
            "attributes[1].value.bytesValue",
            "is not base64",
            40,
        ),
        (
            '"attributes":[{"value":{"doubleValue":1e999}}]',
            "attributes[0].value.doubleValue",
            "is out of range",
            38,
        ),
        (
            '"attributes":[{"value":{"boolValue":"true"}}]',
            "attributes[0].value.boolValue",
            "is neither true nor false",
            36,
        ),
    ],
)
def test_an_error_names_path_and_offset(fields: str, path: str, message: str, offset: int) -> None:
    with pytest.raises(WireError) as caught:
        Batch.from_json(spans(fields).encode(), Signal.TRACES)
    start = len('{"resourceSpans":[{"scopeSpans":[{"spans":[{')
    assert str(caught.value) == f"{SPAN}.{path}: {message} at byte {start + offset}"
    assert caught.value.offset == start + offset


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        (b"", "ends too early", 0),
        (b"null", "is not an object", 0),
        (b"{} {}", "something follows the end of the request", 3),
        (b"{,}", "lacks a name in quotes", 1),
        (b'{"a" 1}', "lacks a colon", 5),
        (b'{"a":1 "b":2}', "lacks a comma or }", 7),
        (b'{"a":[1 2]}', "a: lacks a comma or ]", 8),
        (b'{"\xff":1}', "is not UTF-8", 2),
    ],
)
def test_text_that_is_not_json_is_refused(text: bytes, message: str, offset: int) -> None:
    with pytest.raises(WireError) as caught:
        Batch.from_json(text, Signal.TRACES)
    assert str(caught.value) == f"{message} at byte {offset}"


def nested(depth: int) -> str:
    opening, closing = '{"arrayValue":{"values":[', "]}}"
    return spans(
        f'"attributes":[{{"key":"k","value":{opening * depth}{{"intValue":1}}{closing * depth}}}]'
    )


def test_depth_is_bounded() -> None:
    batch = Batch.from_json(nested(46).encode(), Signal.TRACES)
    assert Batch.from_json(batch.json(), Signal.TRACES).wire() == batch.wire()
    with pytest.raises(WireError, match="is nested too deep at byte"):
        Batch.from_json(nested(48).encode(), Signal.TRACES)
    for deep in (b'{"a":' * 200_000, b'{"a":' + b"[" * 200_000):
        with pytest.raises(WireError, match="is nested too deep at byte"):
            Batch.from_json(deep, Signal.TRACES)


def test_packed_and_unpacked_numbers_are_one_array() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add()
    point = metric.exponential_histogram.data_points.add()
    point.positive.bucket_counts.extend([7, 300])
    data = request.SerializeToString()
    packed = b"\x12\x03\x07\xac\x02"
    assert packed in data
    unpacked = data.replace(packed, b"\x10\x07\x12\x01\x08")
    written = json.loads(Batch(Signal.METRICS, unpacked).json())
    metric_out = written["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    positive = metric_out["exponentialHistogram"]["dataPoints"][0]["positive"]
    assert positive == {"bucketCounts": ["7", "8"]}


def test_text_that_is_not_utf8_is_not_written() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add().name = "bad"
    data = request.SerializeToString().replace(b"bad", b"b\xffd")
    with pytest.raises(WireError, match="UTF-8"):
        Batch(Signal.TRACES, data).json()


def test_profiles_have_no_json_form() -> None:
    with pytest.raises(WireError, match="profiles have no JSON form"):
        Batch.from_json(b"{}", Signal.PROFILES)
    with pytest.raises(WireError, match="profiles have no JSON form"):
        Batch(Signal.PROFILES, b"").json()
