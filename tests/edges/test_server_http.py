"""OTLP over HTTP at the door: codings, limits, malformed requests, CORS, slow clients."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cramjam
import h2.config
import h2.connection
import h2.events
import pytest
from google.rpc import status_pb2
from serving import Answer, ask, posting, receiving

from heliograph._core import admission
from heliograph.receivers.otlp import Receiver
from heliograph.testing import Sink, traces

BATCH = traces(200, padding=200)
BODY = bytes(BATCH.wire())
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
    "zlib": zlib.compress,
    "deflate": zlib.compress,
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "snappy ": lambda data: bytes(cramjam.snappy.compress(data)),
    "x-snappy-framed": lambda data: bytes(cramjam.snappy.compress(data)),
    "lz4": lambda data: bytes(cramjam.lz4.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json"])
async def test_every_coding_comes_out_as_it_went_in(coding: str, kind: str) -> None:
    sink = Sink()
    plain = BODY if kind == "application/x-protobuf" else BATCH.json()
    async with receiving(sink, http={}) as receiver:
        headers = {"content-encoding": coding} if coding else {}
        answer = await posting(
            receiver, "/v1/traces", CODINGS[coding](plain), kind=kind, headers=headers
        )
    assert answer.status == 200, answer.body
    assert [bytes(batch.wire()) for batch in sink.batches] == [BODY]


async def test_chunks_without_a_length() -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        for size in (1000, 100_000):
            chunks = [BODY[at : at + size] for at in range(0, len(BODY), size)]
            assert (await posting(receiver, "/v1/traces", iter(chunks))).status == 200
    assert [bytes(batch.wire()) for batch in sink.batches] == [BODY, BODY]


async def test_codings_can_be_limited() -> None:
    async with receiving(Sink(), http={"compression_algorithms": ["gzip"]}) as receiver:
        for coding, status in (("gzip", 200), ("zstd", 400), ("", 400)):
            headers = {"content-encoding": coding} if coding else {}
            answer = await posting(receiver, "/v1/traces", CODINGS[coding](BODY), headers=headers)
            assert answer.status == status, coding


@pytest.mark.parametrize(
    ("method", "path", "kind", "status", "text"),
    [
        ("GET", "/v1/traces", "application/x-protobuf", 405, b"405 method not allowed"),
        ("PUT", "/v1/traces", "application/json", 405, b"405 method not allowed"),
        ("POST", "/v1/traces", "text/html", 415, b"415 unsupported media type"),
        ("POST", "/v1/traces", "", 415, b"415 unsupported media type"),
        ("POST", "/v1/spans", "application/json", 404, b"404 page not found"),
        ("GET", "/", "application/json", 404, b"404 page not found"),
    ],
)
async def test_wrong_requests(method: str, path: str, kind: str, status: int, text: bytes) -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        answer = await posting(receiver, path, BODY, kind=kind, method=method)
    assert answer.status == status
    assert answer.headers["content-type"] == "text/plain"
    assert answer.body.startswith(text)
    assert sink.tried == []


@pytest.mark.parametrize(
    ("coding", "kind", "body", "said"),
    [
        ("", "application/x-protobuf", BODY[:-1], "at byte"),
        ("", "application/json", b'{"resourceSpans": 3}', "at byte"),
        ("gzip", "application/x-protobuf", b"no gzip", "cannot be decompressed"),
        ("gzip", "application/x-protobuf", gzip.compress(BODY)[:-20], "cannot be decompressed"),
        ("snappy", "application/json", b"\xff\xff\x01", "cannot be decompressed"),
        ("br", "application/x-protobuf", BODY, "unsupported Content-Encoding: br"),
    ],
)
async def test_malformed_bodies(coding: str, kind: str, body: bytes, said: str) -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        headers = {"content-encoding": coding} if coding else {}
        answer = await posting(receiver, "/v1/traces", body, kind=kind, headers=headers)
    assert answer.status == 400
    assert answer.headers["content-type"] == kind
    if kind == "application/json":
        status = json.loads(answer.body)
        assert status["code"] == 3
        message = status["message"]
    else:
        proto = status_pb2.Status.FromString(answer.body)
        assert proto.code == 3
        message = proto.message
    assert said in message
    assert sink.tried == []


@pytest.mark.parametrize("form", ["length", "chunked", "bomb"])
async def test_too_large_before_and_after_decompression(form: str) -> None:
    sink = Sink()
    async with receiving(sink, http={"max_request_body_size": "64KiB"}) as receiver:
        headers = {"content-encoding": "gzip"} if form == "bomb" else {}
        body: Any = {
            "length": b"\0" * 65_537,
            "chunked": iter([b"\0" * 40_000] * 2),
            "bomb": gzip.compress(b"\0" * 10_000_000),
        }[form]
        answer = await posting(receiver, "/v1/traces", body, headers=headers)
        assert answer.status == 413
        status = status_pb2.Status.FromString(answer.body)
        assert status.code == 8
        assert "larger than max" in status.message
        assert (await posting(receiver, "/v1/traces", BODY)).status == 200
    assert len(sink.batches) == 1


async def test_a_connection_is_used_again() -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        with socket.create_connection(address(receiver), timeout=20) as client:
            for _ in range(3):
                client.sendall(head(f"content-length: {len(BODY)}") + BODY)
                assert (await asyncio.to_thread(status_of, client)) == 200
    assert len(sink.batches) == 3


async def test_keep_alives_can_be_off() -> None:
    async with receiving(Sink(), http={"keep_alives_enabled": False}) as receiver:
        with socket.create_connection(address(receiver), timeout=20) as client:
            client.sendall(head(f"content-length: {len(BODY)}") + BODY)
            text = await asyncio.to_thread(read_to_end, client)
    assert text.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in text.lower()


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"read_header_timeout": "200ms"}, b"POST /v1/traces HT"),
        ({"read_header_timeout": "200ms"}, b""),
    ],
)
async def test_a_silent_client_loses_its_connection(options: dict[str, str], sent: bytes) -> None:
    async with receiving(Sink(), http=options) as receiver:
        started = time.monotonic()
        with socket.create_connection(address(receiver), timeout=20) as client:
            client.sendall(sent)
            assert await asyncio.to_thread(read_to_end, client) == b""
    assert 0.1 < time.monotonic() - started < 5


async def test_an_idle_connection_is_closed_after_its_last_request() -> None:
    async with receiving(Sink(), http={"idle_timeout": "300ms"}) as receiver:
        with socket.create_connection(address(receiver), timeout=20) as client:
            client.sendall(head(f"content-length: {len(BODY)}") + BODY)
            assert (await asyncio.to_thread(status_of, client)) == 200
            started = time.monotonic()
            assert await asyncio.to_thread(read_to_end, client) == b""
    assert 0.2 < time.monotonic() - started < 5


async def test_a_slow_body_is_cut_off_and_told_to_come_again() -> None:
    async with receiving(Sink(), http={"read_timeout": "300ms"}) as receiver:
        before = admission().used
        with socket.create_connection(address(receiver), timeout=20) as client:
            client.sendall(head("content-length: 10000000") + b"\x0a")
            text = await asyncio.to_thread(read_to_end, client)
        assert text.startswith(b"HTTP/1.1 503")
        assert admission().used == before


async def test_a_sender_that_stalls_holds_next_to_nothing() -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        before = admission().used
        stalled = [socket.create_connection(address(receiver), timeout=20) for _ in range(20)]
        for client in stalled:
            client.sendall(head("content-length: 20000000") + b"\x0a")
        assert (await posting(receiver, "/v1/traces", BODY)).status == 200
        assert admission().used - before < 20 * 40_000 + 100_000
        for client in stalled:
            client.close()


async def test_stopping_closes_idle_connections() -> None:
    async with receiving(Sink(), http={}) as receiver:
        with socket.create_connection(address(receiver), timeout=20) as client:
            client.sendall(head(f"content-length: {len(BODY)}") + BODY)
            assert (await asyncio.to_thread(status_of, client)) == 200
            await asyncio.wait_for(receiver.stop(), 3)
            assert await asyncio.to_thread(read_to_end, client) == b""


async def test_http2_on_the_same_port() -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        answers = await asyncio.to_thread(ask_h2, address(receiver), [BODY, BODY, BODY[:-1]])
    assert [status for status, _ in answers] == ["200", "200", "400"]
    assert "at byte" in status_pb2.Status.FromString(answers[2][1]).message
    assert [bytes(batch.wire()) for batch in sink.batches] == [BODY, BODY]


async def test_a_unix_socket(tmp_path: Path) -> None:
    sink = Sink()
    path = tmp_path / "otlp.sock"
    for _ in range(2):
        async with receiving(sink, http={"transport": "unix", "endpoint": str(path)}) as receiver:
            assert receiver.addresses["http"] == str(path)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(head(f"content-length: {len(BODY)}") + BODY)
                assert (await asyncio.to_thread(status_of, client)) == 200
        assert not path.exists()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    async with receiving(sink, http={"transport": "unix", "endpoint": str(path)}):
        assert path.exists()


ORIGIN = {"origin": "https://shop.example.com"}
PREFLIGHT = ORIGIN | {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,x-tenant",
}


async def options(receiver: Receiver, headers: dict[str, str]) -> Answer:
    where = receiver.addresses["http"]
    return await asyncio.to_thread(ask, where, "OPTIONS", "/v1/traces", None, headers)


async def test_browsers_may_send_from_allowed_origins() -> None:
    cors = {
        "allowed_origins": ["https://*.example.com"],
        "allowed_headers": ["X-Tenant"],
        "exposed_headers": ["x-seen"],
        "max_age": 7200,
    }
    async with receiving(Sink(), http={"cors": cors}) as receiver:
        allowed = await options(receiver, PREFLIGHT)
        assert allowed.status == 204
        assert allowed.headers["access-control-allow-origin"] == ORIGIN["origin"]
        assert allowed.headers["access-control-allow-methods"] == "POST"
        assert allowed.headers["access-control-allow-headers"] == "content-type,x-tenant"
        assert allowed.headers["access-control-max-age"] == "7200"
        assert allowed.headers["access-control-allow-credentials"] == "true"
        for changed in (
            {"origin": "https://evil.example"},
            {"access-control-request-headers": "x-other"},
            {"access-control-request-method": "DELETE"},
        ):
            refused = await options(receiver, PREFLIGHT | changed)
            assert "access-control-allow-origin" not in refused.headers, changed
        answer = await posting(receiver, "/v1/traces", BODY, headers=ORIGIN)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
        assert answer.headers["access-control-expose-headers"] == "x-seen"
        assert answer.headers["vary"] == "Origin"
        failed = await posting(receiver, "/v1/traces", b"\xff", headers=ORIGIN)
        assert failed.status == 400
        assert failed.headers["access-control-allow-origin"] == ORIGIN["origin"]


async def test_any_origin_gets_no_credentials() -> None:
    async with receiving(Sink(), http={"cors": {"allowed_origins": "*"}}) as receiver:
        answer = await posting(receiver, "/v1/traces", BODY, headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_without_cors_nothing_is_allowed() -> None:
    async with receiving(Sink(), http={}) as receiver:
        assert (await options(receiver, PREFLIGHT)).status == 405


async def test_headers_put_on_every_answer() -> None:
    async with receiving(Sink(), http={"response_headers": {"x-by": "heliograph"}}) as receiver:
        for body in (BODY, b"\xff"):
            assert (await posting(receiver, "/v1/traces", body)).headers["x-by"] == "heliograph"


@pytest.fixture
def full() -> Iterator[None]:
    budget = admission()
    budget.limit = budget.used + 100_000
    yield
    budget.limit = None


async def test_over_the_budget_the_door_says_try_again(full: None) -> None:
    sink = Sink()
    large = bytes(traces(500, padding=1000).wire())
    async with receiving(sink, http={}) as receiver:
        for body in (large, iter([large])):
            answer = await posting(receiver, "/v1/traces", body)
            assert answer.status == 503
            assert answer.headers["retry-after"] in ("1", "2", "3")
        headers = {"content-encoding": "gzip"}
        packed = gzip.compress(large)
        assert len(packed) < 50_000
        answer = await posting(receiver, "/v1/traces", packed, headers=headers)
        assert answer.status == 503
        assert (await posting(receiver, "/v1/traces", BODY)).status == 200
    assert len(sink.batches) == 1


async def test_refusing_needs_no_pipeline() -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        admission().refuse("memory is short", after=2.0)
        try:
            answer = await posting(receiver, "/v1/traces", BODY)
        finally:
            admission().refuse(None)
        assert answer.status == 503
        assert status_pb2.Status.FromString(answer.body).message == "memory is short"
        assert (await posting(receiver, "/v1/traces", BODY)).status == 200
    assert len(sink.tried) == 1


async def test_bytes_are_given_back() -> None:
    sink = Sink()
    gc.collect()
    before = admission().used
    async with receiving(sink, http={}) as receiver:
        assert (await posting(receiver, "/v1/traces", BODY)).status == 200
        assert admission().used - before == len(BODY)
        sink.batches.clear()
        sink.tried.clear()
    assert admission().used == before


def address(receiver: Receiver) -> tuple[str, int]:
    host, _, port = receiver.addresses["http"].rpartition(":")
    return host, int(port)


def head(*lines: str) -> bytes:
    first = ["POST /v1/traces HTTP/1.1", "host: test", "content-type: application/x-protobuf"]
    return ("\r\n".join([*first, *lines]) + "\r\n\r\n").encode()


def status_of(client: socket.socket) -> int:
    text = b""
    while b"\r\n\r\n" not in text:
        text += client.recv(4096)
    return int(text.split()[1])


def read_to_end(client: socket.socket) -> bytes:
    text = b""
    while chunk := client.recv(4096):
        text += chunk
    return text


def ask_h2(address: tuple[str, int], bodies: list[bytes]) -> list[tuple[str, bytes]]:
    """Send bodies one after the other over one HTTP/2 connection; (status, body) of each."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    answers = []
    with socket.create_connection(address, timeout=20) as client:
        for number, body in enumerate(bodies):
            stream = 2 * number + 1
            headers = [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "test"),
                (":path", "/v1/traces"),
                ("content-type", "application/x-protobuf"),
            ]
            connection.send_headers(stream, headers)
            answers.append(_exchange(connection, client, stream, body))
    return answers


def _exchange(
    connection: h2.connection.H2Connection, client: socket.socket, stream: int, body: bytes
) -> tuple[str, bytes]:
    status, content = "", b""
    left: bytes | None = body
    while True:
        while left is not None:
            window = connection.local_flow_control_window(stream)
            step = min(window, connection.max_outbound_frame_size)
            if len(left) > step == 0:
                break
            connection.send_data(stream, left[:step], end_stream=len(left) <= step)
            left = left[step:] or None
        client.sendall(connection.data_to_send())
        for event in connection.receive_data(client.recv(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[":status"]
            elif isinstance(event, h2.events.DataReceived):
                content += event.data
            elif isinstance(event, h2.events.StreamEnded):
                return status, content
