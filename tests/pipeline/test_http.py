"""The page server: what it answers, what it refuses, how it stops."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator

import cramjam
import pytest

from heliograph.pipeline.http import Limits, Request, Response, Server, accepts

LOG = logging.getLogger("test.http")
LONG = b"0123456789" * 1000


async def page(request: Request) -> Response:
    if request.path == "/broken":
        raise RuntimeError("planted")
    if request.path == "/long":
        return Response(body=LONG)
    return Response(body=f"{request.method} {request.path}?{request.query}".encode())


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server(page, LOG, Limits(head=0.2, idle=5))
    await server.start("127.0.0.1", 0)
    yield server
    await server.stop()
    await server.stop()


class Client:
    def __init__(self, server: Server) -> None:
        self._port = server.port

    async def __aenter__(self) -> "Client":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    async def ask(self, raw: bytes, *, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(raw)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        length = int(headers["content-length"]) if body else 0
        return int(head[0].split()[1]), headers, await self.reader.readexactly(length)


async def test_a_connection_serves_several_requests(server: Server) -> None:
    async with Client(server) as client:
        for _ in range(2):
            status, headers, body = await client.ask(b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (status, body) == (200, b"GET /a b?c=d")
            assert headers["connection"] == "keep-alive"


async def test_head_answers_without_body(server: Server) -> None:
    async with Client(server) as client:
        head = await client.ask(b"HEAD /long HTTP/1.1\r\nHost: x\r\n\r\n", body=False)
        assert head[1]["content-length"] == str(len(LONG))
        status, _, body = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, body) == (200, b"GET /?")


async def test_long_answers_are_compressed_when_wanted(server: Server) -> None:
    async with Client(server) as client:
        wanted = b"GET /long HTTP/1.1\r\nAccept-Encoding: br, gzip\r\n\r\n"
        _, headers, body = await client.ask(wanted)
        assert headers["content-encoding"] == "gzip"
        assert gzip.decompress(body) == LONG
        both = b"GET /long HTTP/1.1\r\nAccept-Encoding: gzip, zstd\r\n\r\n"
        _, headers, body = await client.ask(both)
        assert headers["content-encoding"] == "zstd"
        assert bytes(cramjam.zstd.decompress(body)) == LONG
        _, headers, body = await client.ask(b"GET /long HTTP/1.1\r\n\r\n")
        assert "content-encoding" not in headers
        assert body == LONG


@pytest.mark.parametrize(
    ("raw", "status", "lives"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405, True),
        (b"GET /broken HTTP/1.1\r\n\r\n", 500, True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 200, False),
        (b"GET / HTTP/1.0\r\n\r\n", 200, False),
        (b"GET / HTTP/2.0\r\n\r\n", 505, False),
        (b"GET /\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, False),
        (b"GET / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n", 413, False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411, False),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 431, False),
    ],
)
async def test_what_it_says_and_whether_the_connection_lives(
    server: Server, raw: bytes, status: int, lives: bool
) -> None:
    async with Client(server) as client:
        answer, headers, _ = await client.ask(raw)
        assert answer == status
        assert headers["connection"] == ("keep-alive" if lives else "close")
        if not lives:
            assert await client.reader.read() == b""


async def test_a_slow_sender_is_cut_off(server: Server) -> None:
    async with Client(server) as client:
        client.writer.write(b"GET / HT")
        assert await asyncio.wait_for(client.reader.read(), 5) == b""


async def test_stop_closes_waiting_connections(server: Server) -> None:
    async with Client(server) as client:
        await client.ask(b"GET / HTTP/1.1\r\n\r\n")
        await server.stop()
        assert await asyncio.wait_for(client.reader.read(), 5) == b""


def test_accepts() -> None:
    assert accepts("gzip;q=0.5, zstd", "gzip")
    assert not accepts("gzip;q=0", "gzip")
    assert not accepts("", "gzip")
