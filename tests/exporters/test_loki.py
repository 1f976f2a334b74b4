"""The loki exporter: what it pushes, and what it makes of answers. Golden files are in loki/."""

import asyncio
import gzip
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from heliograph._core import LokiRules
from heliograph.errors import Reject, Retry, WireError
from heliograph.exporters.loki import INDEXED, Config, Exporter, rules
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Edge, Kind
from heliograph.pipeline.telemetry import Telemetry
from heliograph.testing import EPOCH_NS, logs, settings

Golden = Callable[[Path, str], None]
GOLDEN = Path(__file__).parent / "loki"


def push_request() -> Any:
    """Loki's ``logproto.PushRequest``, from a descriptor."""
    file = descriptor_pb2.FileDescriptorProto(name="push.proto", package="loki", syntax="proto3")
    types = descriptor_pb2.FieldDescriptorProto

    def message(name: str, *fields: tuple[str, int, bool]) -> None:
        added = file.message_type.add(name=name)
        for number, (field, kind, repeated) in enumerate(fields, 1):
            label = types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL
            entry = added.field.add(name=field, number=number, type=kind, label=label)
            if kind == types.TYPE_MESSAGE:
                entry.type_name = f".loki.{MESSAGES[field]}"

    message("Timestamp", ("seconds", types.TYPE_INT64, False), ("nanos", types.TYPE_INT32, False))
    message("Pair", ("name", types.TYPE_STRING, False), ("value", types.TYPE_STRING, False))
    message(
        "Entry",
        ("timestamp", types.TYPE_MESSAGE, False),
        ("line", types.TYPE_STRING, False),
        ("metadata", types.TYPE_MESSAGE, True),
    )
    message("Stream", ("labels", types.TYPE_STRING, False), ("entries", types.TYPE_MESSAGE, True))
    message("Push", ("streams", types.TYPE_MESSAGE, True))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("loki.Push"))


MESSAGES = {
    "timestamp": "Timestamp",
    "metadata": "Pair",
    "entries": "Entry",
    "streams": "Stream",
}
Push = push_request()


def unsnappy(data: bytes) -> bytes:
    """Decode snappy's block format."""
    length = shift = at = 0
    while True:
        byte, at = data[at], at + 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        size = (tag >> 2) + 1
        if tag & 3 == 0:
            if size > 60:
                extra = size - 60
                size = int.from_bytes(data[at : at + extra], "little") + 1
                at += extra
            out += data[at : at + size]
            at += size
            continue
        if tag & 3 == 1:
            size, offset = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            offset = int.from_bytes(data[at : at + width], "little")
            at += width
        for _ in range(size):
            out.append(out[-offset])
    assert len(out) == length
    return bytes(out)


def decoded(body: bytes) -> Any:
    """The push as plain data: labels, then [time, line, metadata] of each entry."""
    push = Push.FromString(unsnappy(body))
    return {
        stream.labels: [
            [
                entry.timestamp.seconds * 10**9 + entry.timestamp.nanos,
                entry.line,
                *([{pair.name: pair.value for pair in entry.metadata}] if entry.metadata else ()),
            ]
            for entry in stream.entries
        ]
        for stream in push.streams
    }


def translated(batch: Batch, translate: LokiRules) -> dict[str, Any]:
    pushes = translate.apply(batch, EPOCH_NS)
    found = {tenant: decoded(body) for tenant, _, body in pushes.requests}
    items = sum(len(entries) for streams in found.values() for entries in streams.values())
    assert items == sum(count for _, count, _ in pushes.requests)
    assert items + pushes.unlabelled + pushes.unformatted == batch.items
    return found


def hints() -> Batch:
    return Batch.from_json((GOLDEN / "hints.json").read_bytes(), Signal.LOGS)


def config(**fields: Any) -> Config:
    made = Config.model_validate({"endpoint": "http://loki:3100/loki/api/v1/push", **fields})
    assert list(made.check()) == []
    return made


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("streams", {}),
        (
            "no_default_labels",
            {
                "default_labels_enabled": {
                    "exporter": True,
                    "job": False,
                    "instance": False,
                    "level": False,
                }
            },
        ),
        ("structured_metadata", {"structured_metadata": True}),
    ],
)
def test_golden(name: str, fields: dict[str, Any], golden: Golden) -> None:
    found = translated(hints(), rules(config(**fields)))
    golden(GOLDEN / f"{name}.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("structured", [False, True])
def test_json_pushes_say_the_same(structured: bool) -> None:
    fields = {"structured_metadata": structured}
    found = translated(hints(), rules(config(**fields)))
    pushes = rules(config(encoding="json", **fields)).apply(hints(), EPOCH_NS)
    for tenant, _, body in pushes.requests:
        streams = json.loads(body)["streams"]
        expected = [
            [[str(entry[0]), *entry[1:]] for entry in entries] for entries in found[tenant].values()
        ]
        assert [stream["values"] for stream in streams] == expected
        for stream, labels in zip(streams, found[tenant], strict=True):
            pairs = ", ".join(f"{k}={json.dumps(v)}" for k, v in stream["stream"].items())
            assert f"{{{pairs}}}" == labels


def test_records_without_any_label_are_not_pushed() -> None:
    labels = dict.fromkeys(("exporter", "job", "instance", "level"), False)
    pushes = rules(config(default_labels_enabled=labels)).apply(logs(3), EPOCH_NS)
    assert (pushes.requests, pushes.unlabelled) == ([], 3)


@pytest.mark.parametrize("structured", [False, True])
def test_mutated_records_are_translated_or_refused(structured: bool) -> None:
    data = bytes(hints().wire())
    translate = rules(config(structured_metadata=structured))
    outcomes = {attempt(mutated, translate) for mutated in mutations(data)}
    assert outcomes == {"translated", "refused"}


def mutations(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        for flip in (0x01, 0x06, 0x80, 0xFF):
            yield data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]


def attempt(data: bytes, translate: LokiRules) -> str:
    try:
        translated(Batch(Signal.LOGS, data), translate)
    except WireError:
        return "refused"
    return "translated"


def resource(attributes: dict[str, str]) -> Batch:
    listed = [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()]
    request = {
        "resourceLogs": [
            {"resource": {"attributes": listed}, "scopeLogs": [{"logRecords": [{"flags": 1}]}]}
        ]
    }
    return Batch.from_json(json.dumps(request).encode(), Signal.LOGS)


def test_structured_metadata_labels_are_what_loki_indexes() -> None:
    found = translated(
        resource({name: name.upper() for name in INDEXED} | {"team": "x", "a.b": "y"}),
        rules(config(structured_metadata=True)),
    )
    labels = {name.replace(".", "_"): name.upper() for name in INDEXED}
    ((selector, ((_, line, metadata),)),) = found[""].items()
    pairs = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    assert selector == f"{{{pairs}}}"
    assert (line, metadata) == ("", {"flags": "1", "team": "x", "a_b": "y"})


def test_a_service_without_name_is_unknown_to_loki() -> None:
    found = translated(resource({}), rules(config(structured_metadata=True)))
    assert list(found[""]) == ['{service_name="unknown_service"}']


class Loki:
    """A server that answers as told and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""


@contextmanager
def server() -> Iterator[Loki]:
    loki = Loki()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            loki.requests.append((headers, body))
            status, fields, said = loki.answers.pop(0) if loki.answers else (204, {}, b"")
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    loki.url = f"http://127.0.0.1:{httpd.server_port}/loki/api/v1/push"
    try:
        yield loki
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@contextmanager
def connected() -> Iterator[Edge]:
    edge = Edge(asyncio.get_running_loop(), logging.getLogger("test.edge"))
    try:
        yield edge
    finally:
        edge.close()


@asynccontextmanager
async def exporting(
    loki: Loki, telemetry: Telemetry | None = None, **fields: Any
) -> AsyncIterator[Exporter]:
    with connected() as edge:
        made = config(endpoint=loki.url, **fields)
        given = settings("loki", Kind.EXPORTER, telemetry=telemetry, edge=edge)
        exporter = Exporter(made, given)
        await exporter.start()
        yield exporter
        await exporter.stop()
        await exporter.stop()


async def test_pushes_snappy_protobuf() -> None:
    with server() as loki:
        async with exporting(loki, headers={"X-Scope-OrgID": "all"}) as exporter:
            await exporter.consume(logs(2))
    ((headers, body),) = loki.requests
    assert headers["content-type"] == "application/x-protobuf"
    assert "content-encoding" not in headers
    assert headers["x-scope-orgid"] == "all"
    line = '{{"body":"line {}","resources":{{"service.name":"shop"}},'
    line += '"instrumentation_scope":{{"name":"heliograph.testing"}}}}'
    assert decoded(body) == {
        '{exporter="OTLP", job="shop", level="INFO"}': [
            [EPOCH_NS, line.format(0)],
            [EPOCH_NS + 1, line.format(1)],
        ]
    }


async def test_pushes_json() -> None:
    with server() as loki:
        async with exporting(loki, encoding="json", compression="gzip") as exporter:
            await exporter.consume(logs(1))
    ((headers, body),) = loki.requests
    assert headers["content-type"] == "application/json"
    assert headers["content-encoding"] == "gzip"
    (stream,) = json.loads(gzip.decompress(body))["streams"]
    assert stream["stream"] == {"exporter": "OTLP", "job": "shop", "level": "INFO"}


async def test_each_tenant_gets_a_request_of_its_own() -> None:
    telemetry = Telemetry()
    with server() as loki:
        async with exporting(loki, telemetry, headers={"X-Scope-OrgID": "all"}) as exporter:
            await exporter.consume(hints())
    tenants = sorted(headers["x-scope-orgid"] for headers, _ in loki.requests)
    assert tenants == ["all", "blue", "red"]
    name = "heliograph_exporter_dropped_log_records"
    assert telemetry.value(name, exporter="loki", reason="unknown_format") == 1


@pytest.mark.parametrize(
    ("status", "fields", "error", "after"),
    [
        (400, {}, Reject, None),
        (401, {}, Reject, None),
        (413, {}, Reject, None),
        (429, {"Retry-After": "7"}, Retry, 7),
        (429, {}, Retry, None),
        (500, {}, Retry, None),
        (503, {"Retry-After": "3"}, Retry, 3),
    ],
)
async def test_answers(
    status: int, fields: dict[str, str], error: type[Reject | Retry], after: float | None
) -> None:
    with server() as loki:
        loki.answers.append((status, fields, b"entry too far behind\n"))
        async with exporting(loki) as exporter:
            with pytest.raises(error) as caught:
                await exporter.consume(logs(1))
            await exporter.consume(logs(1))
    reason = f"loki: {loki.url}: HTTP {status}: entry too far behind"
    assert str(caught.value) == reason
    assert getattr(caught.value, "after", None) == after


async def test_one_tenants_refusal_does_not_hide_that_another_can_be_tried_again() -> None:
    with server() as loki:
        loki.answers += [(400, {}, b"no"), (503, {}, b"later"), (400, {}, b"no")]
        async with exporting(loki) as exporter:
            with pytest.raises(Retry, match="HTTP 503: later"):
                await exporter.consume(hints())


async def test_nobody_listens() -> None:
    with server() as loki:
        pass
    async with exporting(loki) as exporter:
        with pytest.raises(Retry):
            await exporter.consume(logs(1))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"endpoint": ""}, "endpoint: is missing"),
        ({"endpoint": "loki:3100"}, "endpoint: is 'loki:3100', not a URL"),
        ({"compression": "gzip"}, "compression: is gzip, but protobuf is sent in snappy"),
        (
            {"structured_metadata": True, "default_labels_enabled": {"job": False}},
            "default_labels_enabled: has no effect",
        ),
    ],
)
def test_options_that_contradict(fields: dict[str, object], problem: str) -> None:
    made = Config.model_validate({"endpoint": "http://loki:3100/loki/api/v1/push", **fields})
    (found,) = made.check()
    assert str(found).startswith(problem)
