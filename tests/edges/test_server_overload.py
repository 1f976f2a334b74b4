"""What the door does for senders who leave, and how it refuses."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct

import pytest
from frames import Client, run
from serving import reached, receiving

from heliograph._core import admission
from heliograph.otlp import Batch
from heliograph.testing import Sink, traces

BODY = bytes(traces(20).wire())
LARGE = bytes(traces(500, padding=2000).wire())


class Holding(Sink):
    """Waits with every batch, and keeps none."""

    async def consume(self, batch: Batch) -> None:
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting -= 1


async def let_go(sink: Holding, before: int) -> None:
    """Return when nothing waits any more and no byte is held, long before a sender's patience."""
    await reached(lambda: sink.waiting == 0, within=2)
    gc.collect()
    await reached(lambda: admission().used <= before, within=2)


async def test_a_reset_call_lets_go_of_its_batch_at_once() -> None:
    sink = Holding()
    async with receiving(sink, grpc={}) as receiver:
        before = admission().used

        def begin(client: Client) -> int:
            stream = client.open()
            client.send(stream, struct.pack(">BI", 0, len(LARGE)) + LARGE)
            return stream

        client = Client(receiver.addresses["grpc"])
        with client:
            streams = [await asyncio.to_thread(begin, client) for _ in range(3)]
            await reached(lambda: sink.waiting == len(streams))
            assert admission().used - before > len(streams) * len(LARGE)
            for stream in streams:
                client.h2.reset_stream(stream)
            client.flush()
            await reached(lambda: sink.waiting == 0, within=2)
            gc.collect()
            # The connection's window counts no more than the streams do.
            await reached(lambda: admission().used - before < len(LARGE), within=2)
        await let_go(sink, before)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_sender_who_hangs_up_takes_its_batch_along(protocol: str) -> None:
    sink = Holding()
    async with receiving(sink, grpc={}, http={}) as receiver:
        before = admission().used
        if protocol == "grpc":
            client = Client(receiver.addresses["grpc"])
            client.send(client.open(), struct.pack(">BI", 0, len(BODY)) + BODY)
            peer = client.socket
        else:
            host, _, port = receiver.addresses["http"].rpartition(":")
            peer = socket.create_connection((host, int(port)))
            head = (
                "POST /v1/traces HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-protobuf\r\n"
                f"content-length: {len(BODY)}\r\n\r\n"
            )
            peer.sendall(head.encode() + BODY)
        await reached(lambda: sink.waiting == 1)
        peer.close()
        await let_go(sink, before)


async def test_a_refusal_comes_before_the_body_and_says_when_to_come_again() -> None:
    async with receiving(Sink(), grpc={}) as receiver:
        admission().refuse("memory is short", after=2.0)
        try:
            # The body never comes.
            said = await run(receiver, lambda client: client.answer(client.open()))
        finally:
            admission().refuse(None)
    assert said["grpc-status"] == "14"
    assert "google.rpc.retryinfo-bin" in said


async def test_thousands_of_early_refusals_do_not_end_the_connection() -> None:
    """Bodies that come after their refusal are no offence."""

    def talk(client: Client) -> int:
        late = struct.pack(">BI", 0, 1) + b"\0"
        refused = 0
        for _ in range(100):
            streams = [client.open() for _ in range(40)]
            for stream in streams:
                refused += client.answer(stream)["grpc-status"] == "14"
            for stream in streams:
                head = struct.pack(">I", len(late))[1:] + b"\0\1" + struct.pack(">I", stream)
                client.socket.sendall(head + late)
        return refused

    async with receiving(Sink(), grpc={}) as receiver:
        admission().refuse("memory is short", after=2.0)
        try:
            assert await run(receiver, talk) == 4000
        finally:
            admission().refuse(None)
