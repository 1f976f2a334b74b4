"""Write the first inputs of each target: valid requests, usual and unusual encodings, answers.

Usage: python fuzz/seeds.py FOLDER. Each target's folder in it gets its files. The first bytes of an
input steer its target, which rust/src/fuzzing.rs lists.
"""

import base64
import hashlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import cramjam
import h2.config
import h2.connection
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from otlp import strategies  # noqa: E402

SIGNALS = list(strategies.REQUESTS)
SERVICES = ["trace.v1.TraceService", "metrics.v1.MetricsService", "logs.v1.LogsService"]
PATHS = ["/v1/traces", "/v1/metrics", "/v1/logs"]
CODINGS = {
    "gzip": cramjam.gzip,
    "zstd": cramjam.zstd,
    "deflate": cramjam.zlib,
    "snappy": None,
    "x-snappy-framed": cramjam.snappy,
    "lz4": cramjam.lz4,
}


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def pack(coding: str, data: bytes) -> bytes:
    module = CODINGS[coding]
    return bytes(module.compress(data) if module else cramjam.snappy.compress_raw(data))


def requests(count: int, most: int = 1500) -> Iterator[tuple[int, bytes, random.Random]]:
    """Signal, encoding and a source of chance; every third is written in unusual ways."""
    for number in range(count):
        chance = random.Random(number)
        signal = number % 3
        while True:
            message = strategies.request(SIGNALS[signal], chance.getrandbits(32))
            unusual = number % 9 < 3
            data = strategies.noisy(message, chance) if unusual else message.SerializeToString()
            if 0 < len(data) <= most:
                break
        yield signal, data, chance


def wire() -> Iterator[tuple[str, bytes]]:
    for signal, data, chance in requests(120):
        level = chance.randrange(7)
        yield "scan", bytes([signal]) + data
        yield "project", bytes([signal, level, chance.randrange(256)]) + data
        steer = [chance.randrange(256) for _ in range(4)]
        yield "cut", bytes([signal, *steer]) + data
        yield "edit", bytes([signal, chance.randrange(64), chance.randrange(256)]) + data
        yield "wire_json", bytes([signal]) + data
        if signal == 2:
            yield "loki", bytes([chance.randrange(32), 1]) + data


def json() -> Iterator[tuple[str, bytes]]:
    for number in range(60):
        chance = random.Random(number)
        message = strategies.request(SIGNALS[number % 3], chance.getrandbits(32))
        text = MessageToJson(
            message, indent=None, preserving_proto_field_name=number % 2 == 0,
            use_integers_for_enums=number % 4 < 2,
        )  # fmt: skip
        if len(text) < 3000:
            yield "json", bytes([number % 3]) + text.encode()


def values() -> Iterator[tuple[str, bytes]]:
    for number in range(40):
        chance = random.Random(number)
        value = AnyValue()
        strategies._fill(value, chance, 4)
        data = strategies.noisy(value, chance)
        if len(data) < 600:
            yield "value", bytes([chance.randrange(3), 1]) + b"k" + data


TEXTS = [
    'attributes["k"]', 'resource.attributes["service.name"]', 'body["a"][0]:text', "kind(body)",
    "attributes:map", "status.code", "trace_id.string", "metric.name", "type", ":raw", "scope:raw",
    'attributes["a"]["k"]:int', 'attributes["\\"\\\\\\n"]:json', "exemplar.value_double", "buckets",
    "event.name", "link.trace_state", "bucket_counts", "positive.offset", "quantile_values.value",
    "instrumentation_scope.version", "severity_number", "datapoint.flags",
    'attributes["l"][2]:bool',
]  # fmt: skip


def texts() -> Iterator[tuple[str, bytes]]:
    for index, text in enumerate(TEXTS):
        for signal in range(3):
            yield "path", bytes([signal, (index + signal) % 7]) + text.encode()
            yield "path", bytes([signal, 3]) + text.encode()


def packed() -> Iterator[tuple[str, bytes]]:
    for number, name in enumerate(["", *CODINGS]):
        for size, contents in ((20, b"a"), (12, bytes(range(256)) * 2), (20, b"ab" * 3000)):
            data = pack(name, contents) if name else contents
            yield "decompress", bytes([number, size]) + data
            yield "decompress", bytes([number, size]) + data + data
    for bomb in ("gzip", "zstd"):
        data = pack(bomb, bytes(1 << 20))
        yield "decompress", bytes([1 if bomb == "gzip" else 2, 10]) + data


def framed(data: bytes, compressed: bool = False) -> bytes:
    return bytes([compressed]) + len(data).to_bytes(4, "big") + data


def bodies() -> Iterator[tuple[str, bytes]]:
    for number in range(12):
        chance = random.Random(number)
        steer = bytes([chance.randrange(4), number % 3]) + chance.randbytes(6)
        yield "body", steer + framed(chance.randbytes(chance.choice([0, 3, 400, 2000])))
    yield "frames", bytes([24, 3, 9, 1, 0, 0, 0, 0]) + next(grpc())[1][2:]


def h1() -> Iterator[tuple[str, bytes]]:
    """HTTP/1.1: plain and chunked, protobuf and JSON, compressed, wrong, pipelined."""
    for number, (signal, data, chance) in enumerate(requests(10, 400)):
        coding = chance.choice([None, *CODINGS])
        body = pack(coding, data) if coding else data
        head = f"POST {PATHS[signal]} HTTP/1.1\r\nHost: a\r\n"
        head += "Content-Type: application/x-protobuf\r\n"
        if coding:
            head += f"Content-Encoding: {coding}\r\n"
        if number % 3 == 2:
            half = len(body) // 2
            parts = [body[:half], body[half:]]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
            head += "Transfer-Encoding: chunked\r\n\r\n"
            body = chunks + b"0\r\n\r\n"
        else:
            head += f"Content-Length: {len(body)}\r\nAuthorization: x\r\n\r\n"
        steer = bytes([4 * (number % 4), chance.choice([1, 7, 255])])
        yield "server", steer + head.encode() + body
        yield "server", steer + 2 * (head.encode() + body)
    plain = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}'
    head = b"POST /v1/logs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    yield "server", b"\x00\xff" + head + b"Content-Length: %d\r\n\r\n" % len(plain) + plain
    yield "server", b"\x00\xff" + head + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    yield "server", b"\x00\xff" + head + b"Content-Length: 99999999\r\n\r\nabc"
    yield (
        "server",
        b"\x04\xff"
        + (
            b"OPTIONS /v1/logs HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n"
            b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a\r\n\r\n"
        ),
    )
    yield "server", b"\x00\xffGET /v1/logs HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.0\r\n\r\n"


def connection() -> h2.connection.H2Connection:
    made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    made.initiate_connection()
    return made


def grpc() -> Iterator[tuple[str, bytes]]:
    """HTTP/2: gRPC and OTLP/HTTP, with the preface in the input or added by the target."""
    for number, (signal, data, chance) in enumerate(requests(18, 400)):
        over_grpc = number % 3 != 2
        coding = chance.choice([None, "gzip", "zstd", "x-snappy-framed"])
        body = pack(coding, data) if coding else data
        made = connection()
        for stream in range(1, 2 * (number % 3) + 2, 2):
            export = f"/opentelemetry.proto.collector.{SERVICES[signal]}/Export"
            headers = [(":method", "POST"), (":scheme", "http"), (":authority", "a")]
            headers += [(":path", export if over_grpc else PATHS[signal])]
            if over_grpc:
                headers += [("content-type", "application/grpc"), ("te", "trailers")]
                headers += [("grpc-timeout", chance.choice(["5S", "100m", "99999999H"]))]
                name = "snappy" if coding == "x-snappy-framed" else coding
                headers += [("grpc-encoding", name)] if name else []
            else:
                headers += [("content-type", "application/x-protobuf")]
                headers += [("content-encoding", coding)] if coding else []
            made.send_headers(stream, headers)
            made.send_data(
                stream, framed(body, coding is not None) if over_grpc else body, end_stream=True
            )
        if number % 5 == 0:
            made.ping(b"12345678")
            made.ping(b"12345678")
            made.reset_stream(1)
        sent = made.data_to_send()
        steer = int(over_grpc) | 4 * (number % 2)
        yield "server", bytes([steer, chance.choice([1, 9, 255])]) + sent
        yield "server", bytes([steer | 2, 255]) + sent.removeprefix(PREFACE)


STATUS = (
    b"\x08\x0e\x12\x04full\x1a\x36\x0a\x28type.googleapis.com/google.rpc.RetryInfo"
    b"\x12\x0a\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01"
)


def answers() -> Iterator[tuple[str, bytes]]:
    details = base64.b64encode(STATUS)
    partial = b"\x0a\x06\x08\x05\x12\x02no"
    ok = (100).to_bytes(2, "big")
    yield "answer", ok + b"grpc-status: 0\ngrpc-encoding: gzip\n\n" + framed(partial)
    gzipped = framed(pack("gzip", partial), True)
    yield "answer", ok + b"grpc-status: 0\ngrpc-encoding: gzip\n\n" + gzipped
    yield (
        "answer",
        ok
        + b"grpc-status: 14\ngrpc-message: a%20b%zz\n"
        + (b"grpc-status-details-bin: " + details + b"\n\n"),
    )
    info = base64.b64encode(b"\x0a\x02\x08\x01")
    yield "answer", ok + b"grpc-status: 8\ngoogle.rpc.retryinfo-bin: " + info + b"\n\n"
    yield "answer", ok + b"content-type: application/x-protobuf\n\n" + partial
    busy = (403).to_bytes(2, "big")
    yield "answer", busy + b"retry-after: 7\ncontent-type: application/x-protobuf\n\n" + STATUS
    yield "answer", busy + b"retry-after: Fri, 31 Dec 1999 23:59:59 GMT\n\nbusy\x1b[0m\nnow"
    yield "answer", (202).to_bytes(2, "big") + b"location: http://b/\n\n"
    yield "answer", ok + b'content-type: application/json\n\n{"partialSuccess":{}}'
    yield "answer", ok + b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
    yield "answer", ok + b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"


def record(kind: int, payload: bytes) -> bytes:
    return bytes([kind, len(payload)]) + payload


def journals() -> Iterator[tuple[str, bytes]]:
    number, name = (1).to_bytes(4, "little"), b"otlp/a"
    reader = number + len(name).to_bytes(2, "little") + name
    position = number + (7).to_bytes(8, "little") + bytes(8)
    # flags and signal, one reader, items, time, sizes, length of the context
    for signal in range(4):
        head = bytes([signal, 0]) + (1).to_bytes(2, "little") + (3).to_bytes(4, "little")
        head += (10**18).to_bytes(8, "little") + (5).to_bytes(4, "little") * 2 + bytes(4)
        pieces = [record(3, reader), record(1, head + number + b"12345"), record(4, position)]
        pieces.append(record(5, number + reader + position[4:]))
        yield "journal", b"\x01" + b"".join(pieces)
        yield "journal", b"\x01" + pieces[signal]
    yield "journal", b"\x00HGJRNAL\n" + bytes(60)


def main(folder: Path) -> None:
    for source in (wire, json, values, texts, packed, bodies, h1, grpc, answers, journals):
        for target, data in source():
            place = folder / target
            place.mkdir(parents=True, exist_ok=True)
            (place / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
