"""The page server against those who mean harm: what is ambiguous, endless, slow or too much."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.pipeline import http
from heliograph.pipeline.http import BadRequest, Limits, Request, Response, Server, parse_head
from heliograph.testing import until

LOG = logging.getLogger("test.http")
LONG = 16 * 2**20
ANSWER = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [^\r\n]+\r\n(?:[!-9;-~]+: [^\r\n]*\r\n)+\r\n")


async def page(request: Request) -> Response:
    return Response(body=b"x" * LONG if request.path == "/long" else b"hello")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server(page, LOG, Limits(head=0.3, idle=5, write=0.3))
    await server.start("127.0.0.1", 0)
    yield server
    await server.stop()


async def say(server: Server, raw: bytes) -> bytes:
    """Send it, end the sending side, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(raw)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 5",
        b"GET / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3",
        b"GET / HTTP/1.1\r\nContent-Length: 3, 3",
        b"GET / HTTP/1.1\r\nContent-Length: +3",
        b"GET / HTTP/1.1\r\nContent-Length: 0x3",
        b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000,
        b"GET / HTTP/1.1\r\nContent-Length:\xa03",
        b"GET / HTTP/1.1\r\nContent-Length : 3",
        b"GET / HTTP/1.1\r\n Content-Length: 3",
        b"GET / HTTP/1.1\r\nA: b\r\n c: d",
        b"GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: identity",
        b"GET / HTTP/1.1\r\nTransfer-Encoding\x0b: chunked",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b",
        b"GET / HTTP/1.1\r\nA: b\nContent-Length: 3",
        b"GET / HTTP/1.1\r\nA: b\rContent-Length: 3",
        b"GET / HTTP/1.1\r\nA: b\0c",
        b"GET /\n HTTP/1.1",
        b"GET /a\tb HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"G\xc9T / HTTP/1.1",
        b"GET / HTTP/1.1\r\n: empty",
    ],
    ids=lambda head: repr(head[16:60]),
)
async def test_what_two_servers_could_read_differently_closes_the_connection(
    server: Server, head: bytes
) -> None:
    hidden = b"GET /hidden HTTP/1.1\r\n\r\n"
    answer = await say(server, head + b"\r\n\r\nabc" + hidden)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 411 ", b"HTTP/1.1 413 "))
    assert b"Connection: close" in answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_body_is_never_taken_for_a_request(server: Server) -> None:
    hidden = b"GET /hidden HTTP/1.1\r\n\r\n"
    first = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    answer = await say(server, first + hidden + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"405", b"200"]


@pytest.mark.parametrize(
    "drop", [b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"]
)
async def test_who_drips_bytes_is_cut_off(server: Server, drop: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(drop)

    async def drip() -> None:
        while True:
            await asyncio.sleep(0.05)
            writer.write(b"x")

    dripping = asyncio.create_task(drip())
    try:
        assert await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionError:
        pass
    finally:
        dripping.cancel()
        writer.close()


async def test_who_does_not_read_is_cut_off_and_holds_no_memory(server: Server) -> None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", server.port))
    await loop.sock_sendall(client, b"GET /long HTTP/1.1\r\n\r\n")
    await until(lambda: server._connections)
    await until(lambda: not server._connections)
    received = 0
    with suppress(ConnectionResetError):
        while data := await loop.sock_recv(client, 65536):
            received += len(data)
    assert received < LONG
    client.close()


async def test_connections_are_bounded_and_idle_ones_make_room(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 3)
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
    await until(lambda: len(server._idle) == 3)
    assert b"hello" in await say(server, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert await asyncio.wait_for(idle[0][0].read(), 5) == b""
    for _, writer in idle:
        writer.close()


async def test_connections_that_are_all_busy_leave_no_room(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 1)
    _, busy = await asyncio.open_connection("127.0.0.1", server.port)
    busy.write(b"GET")
    await until(lambda: server._connections and not server._idle)
    assert await say(server, b"GET / HTTP/1.1\r\n\r\n") == b""
    busy.close()


pieces = st.sampled_from(
    [b"GET", b"HEAD", b" ", b"/", b"/a%0d%0ab", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r",
     b"Content-Length", b"Transfer-Encoding", b"Connection", b"Host", b":", b": ", b"3", b"-1",
     b"chunked", b"close", b"keep-alive", b"gzip", b"Accept-Encoding", b"\0", b"\x7f", b"\xff",
     b"http://a/b", b"?", b"\t", b",", b";q=0"]
)  # fmt: skip


@given(st.lists(pieces | st.binary(max_size=4), max_size=30).map(b"".join))
def test_any_head_is_a_request_or_refused(raw: bytes) -> None:
    head = raw.replace(b"\r\n\r\n", b"") + b"\r\n\r\n"
    try:
        request, version = parse_head(head)
    except BadRequest:
        return
    assert version in ("HTTP/1.0", "HTTP/1.1")
    assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", request.method)
    for name, value in request.headers.items():
        assert name == name.lower()
        assert not re.search("[\r\n\0]", name + value)


SEED = b"GET /page?a=b HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"


def mutated(chance: random.Random) -> bytes:
    raw = SEED * chance.randint(1, 3)
    for _ in range(chance.randint(0, 5)):
        at, to = sorted(chance.randint(0, len(raw)) for _ in range(2))
        to = min(to, at + 20)
        junk = chance.choice([b"\r\n", b"\0", b":", b" ", b"9", chance.randbytes(3), raw[at:to]])
        raw = chance.choice([raw[:at] + junk + raw[at:], raw[:at] + raw[to:], raw[:at] + junk])
    return raw


@pytest.mark.parametrize("seed", range(4))
async def test_any_traffic_is_answered_in_form_and_the_server_lives(
    server: Server, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(seed)
    for answer in await asyncio.gather(*(say(server, mutated(chance)) for _ in range(100))):
        rest = answer
        while rest:
            found = ANSWER.match(rest)
            assert found, rest[:200]
            length = re.search(rb"Content-Length: (\d+)", found[0])
            assert length
            rest = rest[found.end() + int(length[1]) :]
    assert b"hello" in await say(server, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
