"""Requests as protobuf objects, and the many ways in which their bytes may be written.

Everything is made from a seed, so that a failing example is two small integers.
"""

import random
import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from heliograph.otlp import Signal

REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
KEYS = ["k", "a", "service.name", "http.route", "dup", "", "é", "x" * 130]
TEXTS = ["", "a", "1", "-17", "2.5", "http://h/p?q=1&r=<b>", 'tab\t"quote"\\', "日本", "y" * 200]
DOUBLES = [0.0, -0.0, 1.5, 1e21, 1e-7, float("inf"), float("-inf"), 123456789.125]
F = FieldDescriptor
VARINTS = {F.TYPE_BOOL, F.TYPE_ENUM, F.TYPE_INT32, F.TYPE_UINT32, F.TYPE_SINT32, F.TYPE_INT64,
           F.TYPE_UINT64}  # fmt: skip
FIXED64 = {F.TYPE_FIXED64, F.TYPE_SFIXED64, F.TYPE_DOUBLE}
RANGES = {
    F.TYPE_ENUM: (0, 5),
    F.TYPE_INT32: (-(2**31), 2**31 - 1),
    F.TYPE_SINT32: (-(2**31), 2**31 - 1),
    F.TYPE_UINT32: (0, 2**32 - 1),
    F.TYPE_FIXED32: (0, 2**32 - 1),
    F.TYPE_INT64: (-(2**63), 2**63 - 1),
    F.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    F.TYPE_UINT64: (0, 2**64 - 1),
    F.TYPE_FIXED64: (0, 2**64 - 1),
}


def signals() -> st.SearchStrategy[Signal]:
    return st.sampled_from(list(REQUESTS))


def seeds() -> st.SearchStrategy[int]:
    return st.integers(0, 2**32)


def requests(signal: Signal) -> st.SearchStrategy[Any]:
    """Requests with up to three of everything."""
    return seeds().map(lambda seed: request(signal, seed))


def encodings(signal: Signal) -> st.SearchStrategy[bytes]:
    """Bytes that protobuf accepts, written in unusual ways."""
    return st.tuples(seeds(), seeds()).map(
        lambda pair: noisy(request(signal, pair[0]), random.Random(pair[1]))
    )


def damaged(signal: Signal) -> st.SearchStrategy[bytes]:
    """Bytes that may or may not still be a request."""
    return st.tuples(encodings(signal), seeds()).map(
        lambda pair: damage(pair[0], random.Random(pair[1]))
    )


def request(signal: Signal, seed: int) -> Any:
    """Make a request from a seed."""
    message = REQUESTS[signal]()
    _fill(message, random.Random(seed), 0)
    return message


def _fill(message: Message, rng: random.Random, depth: int) -> None:
    chosen = {oneof.name: rng.choice([None, *oneof.fields]) for oneof in message.DESCRIPTOR.oneofs}
    for field in message.DESCRIPTOR.fields:
        if field.name.endswith("strindex"):
            continue
        if field.containing_oneof and chosen[field.containing_oneof.name] is not field:
            continue
        if field.is_repeated:
            count = rng.choice([0, 1, 1, 2, 3]) if depth < 9 else 0
            values = getattr(message, field.name)
            for _ in range(count):
                if field.message_type:
                    _fill(values.add(), rng, depth + 1)
                else:
                    values.append(_scalar(field, rng))
        elif field.message_type:
            if depth < 9 and rng.random() < 0.7:
                inner = getattr(message, field.name)
                inner.SetInParent()
                _fill(inner, rng, depth + 1)
        elif rng.random() < 0.7:
            setattr(message, field.name, _scalar(field, rng))


def _scalar(field: Any, rng: random.Random) -> Any:
    match field.type:
        case F.TYPE_STRING:
            return rng.choice(KEYS if field.name == "key" else TEXTS)
        case F.TYPE_BYTES:
            return rng.randbytes(rng.choice([0, 3, 8, 16, 16, 16]))
        case F.TYPE_BOOL:
            return rng.random() < 0.5
        case F.TYPE_DOUBLE:
            return rng.choice(DOUBLES)
    low, high = RANGES[field.type]
    return rng.choice([0, 1, low, high, rng.randint(low, high), rng.randint(0, 5)])


def varint(value: int, rng: random.Random, limit: int = 10) -> bytes:
    """Encode a number, now and then in more bytes than it needs."""
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    if rng.random() < 0.05:
        for _ in range(rng.randint(0, limit - len(out))):
            out[-1] |= 0x80
            out.append(0)
    return bytes(out)


def tag(number: int, wire: int, rng: random.Random) -> bytes:
    return varint(number << 3 | wire, rng, 5)


def delimited(number: int, contents: bytes, rng: random.Random) -> bytes:
    return tag(number, 2, rng) + varint(len(contents), rng, 5) + contents


def noisy(message: Message, rng: random.Random) -> bytes:
    """Encode a message with fields out of order, in pieces, repeated, unknown, unpacked."""
    pieces: list[bytes] = []
    for field, value in message.ListFields():
        if field.is_repeated:
            pieces += _repeated(field, value, rng)
        else:
            pieces += _singular(field, value, rng)
            if field.containing_oneof and rng.random() < 0.2:
                pieces.insert(rng.randint(0, len(pieces)), _rival(field, rng))
    if rng.random() < 0.1:
        pieces.insert(rng.randint(0, len(pieces)), unknown(rng, 3))
    if rng.random() < 0.2:
        rng.shuffle(pieces)
    return b"".join(pieces)


def _repeated(field: Any, values: Any, rng: random.Random) -> Iterator[bytes]:
    if field.message_type or field.type == F.TYPE_STRING:
        for value in values:
            yield delimited(field.number, _contents(field, value, rng), rng)
        return
    cut = rng.randint(0, len(values))
    for run in (values[:cut], values[cut:]):
        if rng.random() < 0.3:
            for value in run:
                yield _one(field, value, rng)
        else:
            yield delimited(field.number, b"".join(_number(field, v, rng) for v in run), rng)


def _singular(field: Any, value: Any, rng: random.Random) -> Iterator[bytes]:
    if field.message_type and rng.random() < 0.1:
        contents = [noisy(_half(value, rng), rng), noisy(value, rng)]
        for part in contents:
            yield delimited(field.number, part, rng)
        return
    if not field.message_type and rng.random() < 0.1:
        yield _one(field, _scalar(field, rng), rng)
    yield _one(field, value, rng)


def _half(message: Any, rng: random.Random) -> Any:
    part = type(message)()
    part.CopyFrom(message)
    for field, _ in message.ListFields():
        if rng.random() < 0.5:
            part.ClearField(field.name)
    return part


def _rival(field: Any, rng: random.Random) -> bytes:
    other = rng.choice([f for f in field.containing_oneof.fields if "strindex" not in f.name])
    if other.message_type:
        message = _instance(other)
        _fill(message, rng, 8)
        return delimited(other.number, noisy(message, rng), rng)
    return _one(other, _scalar(other, rng), rng)


def _instance(field: Any) -> Any:
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(field.message_type)()


def _contents(field: Any, value: Any, rng: random.Random) -> bytes:
    if field.message_type:
        return noisy(value, rng)
    return value.encode() if isinstance(value, str) else bytes(value)


def _one(field: Any, value: Any, rng: random.Random) -> bytes:
    if field.message_type or field.type in (F.TYPE_STRING, F.TYPE_BYTES):
        return delimited(field.number, _contents(field, value, rng), rng)
    wire = 0 if field.type in VARINTS else 1 if field.type in FIXED64 else 5
    return tag(field.number, wire, rng) + _number(field, value, rng)


def _number(field: Any, value: Any, rng: random.Random) -> bytes:
    match field.type:
        case F.TYPE_DOUBLE:
            return struct.pack("<d", value)
        case F.TYPE_FIXED64:
            return struct.pack("<Q", value)
        case F.TYPE_SFIXED64:
            return struct.pack("<q", value)
        case F.TYPE_FIXED32:
            return struct.pack("<I", value)
        case F.TYPE_SINT32:
            value = (value << 1) ^ (value >> 31)
    if field.type == F.TYPE_BOOL and value and rng.random() < 0.1:
        value = 2**40
    return varint(int(value), rng)


def unknown(rng: random.Random, depth: int) -> bytes:
    """A field that no message has; groups may hold more of them."""
    number = rng.randint(100, 2**29 - 1)
    match rng.randint(0, 4):
        case 0:
            return tag(number, 0, rng) + varint(rng.getrandbits(64), rng)
        case 1:
            return tag(number, 1, rng) + rng.randbytes(8)
        case 2:
            return delimited(number, rng.randbytes(rng.randint(0, 20)), rng)
        case 3:
            return tag(number, 5, rng) + rng.randbytes(4)
    inner = b"".join(unknown(rng, depth - 1) for _ in range(rng.randint(0, 2) if depth else 0))
    return tag(number, 3, rng) + inner + tag(number, 4, rng)


def damage(data: bytes, rng: random.Random) -> bytes:
    """Cut, flip or splice a few bytes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if not out:
            break
        at = rng.randrange(len(out))
        match rng.randint(0, 4):
            case 0:
                del out[at:]
            case 1:
                out[at] ^= 1 << rng.randrange(8)
            case 2:
                out[at] = rng.randrange(256)
            case 3:
                del out[at : at + rng.randint(1, 4)]
            case 4:
                out[at:at] = rng.randbytes(rng.randint(1, 4))
    return bytes(out)
