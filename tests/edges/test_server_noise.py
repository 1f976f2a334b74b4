"""The OTLP server survives whatever is sent to its ports."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import struct

import h2.config
import h2.connection
import pytest
from frames import TRACES
from serving import calling, posting, reached, receiving

from heliograph._core import admission
from heliograph.testing import Sink, traces

BODY = bytes(traces(3).wire())
ROUNDS = 150


def http1() -> bytes:
    head = (
        "POST /v1/traces HTTP/1.1\r\nhost: test\r\ncontent-encoding: identity\r\n"
        f"content-type: application/x-protobuf\r\ncontent-length: {len(BODY)}\r\n\r\n"
    )
    return (head.encode() + BODY) * 2


def http2() -> bytes:
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    for stream in (1, 3):
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "test",
            ":path": TRACES,
            "te": "trailers",
            "grpc-timeout": "1S",
            "content-type": "application/grpc",
        }
        client.send_headers(stream, [*headers.items()])
        client.send_data(stream, struct.pack(">BI", 0, len(BODY)) + BODY, end_stream=True)
    client.ping(b"12345678")
    sent: bytes = client.data_to_send()
    return sent


def mutated(data: bytes, noise: random.Random) -> bytes:
    """Change, cut, or repeat a little of the data."""
    out = bytearray(data)
    for _ in range(noise.randint(1, 4)):
        at = noise.randrange(len(out))
        match noise.randrange(3):
            case 0:
                out[at] = noise.randrange(256)
            case 1:
                del out[at : at + noise.randint(1, 30)]
            case 2:
                out[at:at] = out[at : at + noise.randint(1, 30)]
    return bytes(out[: noise.randrange(len(out)) + 1]) if noise.random() < 0.3 else bytes(out)


def send(address: str, messages: list[bytes]) -> None:
    host, _, port = address.rpartition(":")
    for message in messages:
        with socket.create_connection((host, int(port)), timeout=20) as client:
            try:
                client.sendall(message)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except OSError:
                # The server may well have hung up.
                continue


@pytest.mark.parametrize(("protocol", "make"), [("http", http1), ("grpc", http2), ("http", http2)])
async def test_noise(protocol: str, make: object) -> None:
    assert callable(make)
    noise = random.Random(20261123)
    messages = [mutated(make(), noise) for _ in range(ROUNDS)]
    messages += [noise.randbytes(noise.randint(1, 300)) for _ in range(ROUNDS // 3)]
    gc.collect()
    before = admission().used
    sink = Sink()
    async with receiving(sink, grpc={}, http={}) as receiver:
        await asyncio.to_thread(send, receiver.addresses[protocol], messages)
        assert (await posting(receiver, "/v1/traces", BODY)).status == 200
        async with calling(receiver) as call:
            assert await call(traces(3)) == b""
        sink.batches.clear()
        sink.tried.clear()
    gc.collect()
    await reached(lambda: admission().used <= before)
