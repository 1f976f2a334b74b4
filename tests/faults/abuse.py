"""Senders that no collector deserves. Each function talks to a port and says what it was told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import http.client
import random
import socket
import struct
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

import cramjam
import h2.exceptions
import hpack
from frames import TRACES, Client

from heliograph.testing import traces

MIB = 2**20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
HTTP_HEAD = (
    "POST /v1/traces HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-protobuf\r\n"
    "content-length: {}\r\n\r\n"
)
WHOLE = bytes(traces(3).wire())
Told = Counter[str]
"""How often the senders heard what; ``hung up`` where the connection just ended."""


def post(port: int, body: object, **headers: str) -> str:
    """Send an HTTP request; return its status, or ``hung up``."""
    said = {"content-type": "application/x-protobuf"}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        # An answer may come before all is sent, and the connection end.
        with contextlib.suppress(OSError):
            connection.request("POST", "/v1/traces", body, said)  # type: ignore[arg-type]
        if connection.sock is None:
            return "hung up"
        response = http.client.HTTPResponse(connection.sock, method="POST")
        response.begin()
        return str(response.status)
    except (OSError, http.client.HTTPException):
        return "hung up"
    finally:
        connection.close()


def call(port: int, message: bytes, flag: int = 0, length: int = -1, **headers: str) -> str:
    """Make a gRPC call; return ``grpc N``, ``hung up``, or an HTTP status that is not 200.

    With a ``length`` that is not the message's the call promises what never comes.
    """
    promised = len(message) if length < 0 else length
    try:
        with Client(f"127.0.0.1:{port}") as client:
            client.socket.settimeout(60)
            stream = client.open(**headers)
            # A call may be answered, and its stream reset, before all is sent.
            with contextlib.suppress(h2.exceptions.ProtocolError):
                data = struct.pack(">BI", flag, promised) + message
                client.send(stream, data, end=promised == len(message))
            said = client.answer(stream)
            return f"grpc {said['grpc-status']}" if said[":status"] == "200" else said[":status"]
    except (OSError, AssertionError, h2.exceptions.ProtocolError):
        return "hung up"


def together(senders: list[Callable[[], str]], at_a_time: int = 16) -> Told:
    with ThreadPoolExecutor(at_a_time) as pool:
        return Counter(pool.map(lambda send: send(), senders))


# Compression bombs.


def _zeros(size: int, make: object) -> bytes:
    out = bytearray()
    for _ in range(size // MIB):
        out += make.compress(bytes(MIB))  # type: ignore[attr-defined]
    return bytes(out + make.flush())  # type: ignore[attr-defined]


def _cramjam(size: int, codec: object) -> bytes:
    make = codec.Compressor()  # type: ignore[attr-defined]
    for _ in range(size // MIB):
        make.compress(bytes(MIB))
    return bytes(make.finish())


@functools.cache
def bombs(size: int) -> dict[str, bytes]:
    """So many bytes of zeros by content coding; and a block of snappy that lies about its size."""
    lie = b"\xff\xff\xff\xff\x0f" + bytes(cramjam.snappy.compress_raw(bytes(MIB)))[3:]
    return {
        "gzip": _zeros(size, zlib.compressobj(9, zlib.DEFLATED, 31)),
        "zlib": _zeros(size, zlib.compressobj(9)),
        "deflate": _zeros(size, zlib.compressobj(9)),
        "zstd": _cramjam(size, cramjam.zstd),
        "snappy": bytes(cramjam.snappy.compress_raw(bytes(size // 4))),
        "snappy lie": lie,
        "x-snappy-framed": _cramjam(size // 4, cramjam.snappy),
        "lz4": _cramjam(size, cramjam.lz4),
    }


def bomb(grpc: int, http_port: int, size: int, times: int) -> Told:
    """Send every bomb so many times to each protocol that knows its coding."""
    senders: list[Callable[[], str]] = []
    for name, data in bombs(size).items():
        coding = name.split()[0]
        senders += times * [functools.partial(post, http_port, data, content_encoding=coding)]
        framed = coding.replace("x-snappy-framed", "snappy")
        if coding in ("gzip", "zstd", "x-snappy-framed"):
            senders += times * [functools.partial(call, grpc, data, 1, grpc_encoding=framed)]
    random.Random(1).shuffle(senders)
    return together(senders)


# Malformed, truncated, oversized.


def malformed() -> Iterator[bytes]:
    """Messages that are no trace request, each in its own way; then noise."""
    yield WHOLE[:-1]
    yield WHOLE[:7]
    yield b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # a length of 2^64 - 1
    yield b"\x0a\xff\xff\xff\xff\x07"  # of 2^31 - 1
    yield b"\x0a" + b"\xff" * 11  # a number without end
    yield b"\x0b" * 10_000  # groups in groups
    yield b"\x0f"  # no such wire type
    yield b"\x00"  # field 0
    yield b"\x08\x01"  # a number where a message is wanted
    yield b"\x0a\x02\x12\x05abcde"  # the inside is longer than the outside
    noise = random.Random(20261126)
    for _ in range(40):
        data = bytearray(WHOLE)
        for _ in range(noise.randint(1, 5)):
            data[noise.randrange(len(data))] = noise.randrange(256)
        yield bytes(data[: noise.randrange(1, len(data))])


def malform(grpc: int, http_port: int, times: int) -> Told:
    """Send what is malformed, in both protocols, as protobuf, JSON and every coding."""
    senders: list[Callable[[], str]] = []
    for data in [*malformed()] * times:
        senders.append(functools.partial(post, http_port, data))
        senders.append(functools.partial(call, grpc, data))
        senders.append(functools.partial(call, grpc, data, 1, grpc_encoding="gzip"))
        senders.append(functools.partial(post, http_port, data, content_type="application/json"))
        for coding in ("gzip", "zlib", "zstd", "snappy", "lz4", "nonsense"):
            senders.append(functools.partial(post, http_port, data, content_encoding=coding))
    deep = b'{"resourceSpans":' + b"[" * 200_000
    cut = gzip.compress(WHOLE * 1000)[:-20]
    for _ in range(times):
        senders.append(functools.partial(post, http_port, deep, content_type="application/json"))
        senders.append(functools.partial(post, http_port, cut, content_encoding="gzip"))
        senders.append(functools.partial(call, grpc, b"", 7))
        senders.append(functools.partial(call, grpc, WHOLE, 1))
    return together(senders)


def oversize(grpc: int, http_port: int, times: int) -> Told:
    """Send, or promise, more than is allowed."""

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(MIB)

    senders: list[Callable[[], str]] = []
    for _ in range(times):
        senders.append(lambda: post(http_port, endless()))
        senders.append(lambda: post(http_port, bytes(30 * MIB)))
        senders.append(lambda: call(grpc, bytes(30 * MIB)))
        senders.append(lambda: call(grpc, bytes(1000), length=2**32 - 1))
    return together(senders, 8)


# Half a request, and then nothing, or a reset.


def begun_post() -> bytes:
    return HTTP_HEAD.format(len(WHOLE)).encode() + WHOLE[: len(WHOLE) // 2]


def begun_call() -> bytes:
    """An HTTP/2 connection with a call whose body is still to come."""
    return PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_HEADERS, 1, headers())


def half_call() -> bytes:
    message = struct.pack(">BI", 0, len(WHOLE)) + WHOLE[: len(WHOLE) // 2]
    return begun_call() + frame(DATA, 0, 1, message)


def headers(*more: tuple[str, str]) -> bytes:
    said = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", TRACES)]
    said += [("te", "trailers"), ("content-type", "application/grpc"), *more]
    return bytes(hpack.Encoder().encode(said))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


def reset(peer: socket.socket) -> None:
    """Close a connection the hard way."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def half(grpc: int, http_port: int, count: int) -> list[socket.socket]:
    """Begin requests and fall silent, as when the network goes away; return the sockets."""
    peers = []
    for number in range(count):
        port, begun = ((grpc, half_call()), (http_port, begun_post()))[number % 2]
        peer = socket.create_connection(("127.0.0.1", port), timeout=20)
        peer.sendall(begun)
        peers.append(peer)
    return peers


# Many connections.


@asynccontextmanager
async def many(grpc: int, http_port: int, count: int) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """So many connections, half of them to each port."""
    async with AsyncExitStack() as stack:
        writers = []
        for number in range(count):
            port = (grpc, http_port)[number % 2]
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writers.append(writer)
        yield writers


def idle(grpc: int, http_port: int, count: int, watch: Callable[[], None]) -> None:
    """Hold connections on which nothing, or only a greeting, is ever said, while ``watch`` runs."""

    async def hold() -> None:
        async with many(grpc, http_port, count) as writers:
            for number, writer in enumerate(writers):
                if number % 4 == 0:
                    writer.write(PREFACE + frame(SETTINGS, 0, 0, b""))
            await asyncio.to_thread(watch)

    asyncio.run(hold())


def dribble(grpc: int, http_port: int, count: int, watch: Callable[[], None]) -> int:
    """Send requests byte by byte while ``watch`` runs; return how many were hung up on."""
    gone = 0

    async def slowly(writer: asyncio.StreamWriter, data: bytes, beginning: int) -> None:
        nonlocal gone
        try:
            writer.write(data[:beginning])
            for byte in data[beginning:]:
                await asyncio.sleep(0.5)
                writer.write(bytes([byte]))
                await writer.drain()
        except OSError:
            gone += 1

    async def hold() -> None:
        async with many(grpc, http_port, count) as writers:
            tasks = []
            for number, writer in enumerate(writers):
                data = (half_call(), begun_post())[number % 2]
                # Half of them are slow from the first byte, half within the body.
                beginning = 0 if number % 4 < 2 else len(data) - 80
                tasks.append(asyncio.create_task(slowly(writer, data, beginning)))
            await asyncio.to_thread(watch)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(hold())
    return gone


# Floods of HTTP/2 frames.


def floods() -> dict[str, tuple[bytes, Callable[[int], bytes]]]:
    """What is sent at first, and then again and again, by the name of the flood."""
    large = headers(("x-large", "a" * 8000))
    opened = PREFACE + frame(SETTINGS, 0, 0, b"")
    begun = begun_call()

    def rapid_reset(turn: int) -> bytes:
        stream = 2 * turn + 1
        return frame(HEADERS, END_HEADERS, stream, headers()) + frame(
            RESET, 0, stream, b"\0\0\0\x08"
        )

    def many_headers(turn: int) -> bytes:
        return frame(HEADERS, END_HEADERS | END_STREAM, 2 * turn + 1, large)

    return {
        "rapid reset": (opened, rapid_reset),
        "continuations": (
            opened + frame(HEADERS, 0, 1, headers()),
            lambda _: frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 50),
        ),
        "settings": (opened, lambda _: frame(SETTINGS, 0, 0, b"")),
        "pings": (opened, lambda _: frame(PING, 0, 0, b"12345678")),
        "empty data": (begun, lambda _: frame(DATA, 0, 1, b"")),
        "large headers": (opened, many_headers),
    }


def flood(grpc: int, seconds: float) -> Told:
    """Flood the gRPC port in every way, two connections each, again when hung up on."""
    told: Told = Counter()

    def pour(first: bytes, again: Callable[[int], bytes], end: float) -> None:
        while time.monotonic() < end:
            with socket.create_connection(("127.0.0.1", grpc), timeout=1) as peer:
                turn = 0
                try:
                    peer.sendall(first)
                    while time.monotonic() < end and turn < 2**29:
                        peer.sendall(b"".join(again(turn + step) for step in range(50)))
                        turn += 50
                except OSError:
                    told["hung up"] += 1
                else:
                    told["endured"] += 1
            time.sleep(0.01)

    kinds = floods().values()
    with ThreadPoolExecutor(2 * len(kinds)) as pool:
        end = time.monotonic() + seconds
        for first, again in kinds:
            for _ in range(2):
                pool.submit(pour, first, again, end)
    return told
