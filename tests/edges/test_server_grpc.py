"""OTLP over gRPC at the door: compression, limits, malformed calls, keep-alive, age."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import struct
import time
from collections.abc import Callable, Iterator

import cramjam
import grpc
import h2.events
import pytest
from frames import GOAWAY, HEADERS, Client, Frame, run
from google.rpc import status_pb2
from serving import calling, receiving

from heliograph._core import admission
from heliograph.testing import Sink, traces

BATCH = traces(200, padding=200)
BODY = bytes(BATCH.wire())
LARGE = bytes(traces(500, padding=2000).wire())
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
    "snappy": lambda data: bytes(cramjam.snappy.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
async def test_every_compression_comes_out_as_it_went_in(coding: str) -> None:
    sink = Sink()
    async with receiving(sink, grpc={}) as receiver:
        message = CODINGS[coding](BODY)
        said = await run(receiver, lambda client: client.call(message, 1, grpc_encoding=coding))
        assert said["grpc-status"] == ("0" if coding != "identity" else "3")
        plain = await run(receiver, lambda client: client.call(BODY, 0, grpc_encoding=coding))
        assert plain["grpc-status"] == "0"
    expected = [BODY] if coding == "identity" else [BODY, BODY]
    assert [bytes(batch.wire()) for batch in sink.batches] == expected


async def test_any_split_into_frames() -> None:
    sink = Sink()

    def talk(client: Client) -> list[str]:
        framed = struct.pack(">BI", 0, len(BODY)) + BODY
        answers = []
        for cuts in ([1], [4], [5], [3, 4, 6, 40_000], [len(framed)]):
            stream = client.open()
            at = 0
            for cut in [*cuts, len(framed)]:
                client.send(stream, framed[at:cut], end=False)
                at = cut
            client.h2.end_stream(stream)
            client.flush()
            answers.append(client.answer(stream)["grpc-status"])
        return answers

    async with receiving(sink, grpc={}) as receiver:
        assert await run(receiver, talk) == ["0"] * 5
    assert [bytes(batch.wire()) for batch in sink.batches] == [BODY] * 5


@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [
        (b"", 3, "no message"),
        (b"\0\0\0", 3, "no message"),
        (b"\2\0\0\0\0", 3, "flag"),
        (b"\0\0\0\0\5\x0a\x00", 3, "ends early"),
        (b"\0\0\0\0\2\x0a\0\0", 3, "more bytes"),
        (b"\0\0\0\0\1\xff", 3, "at byte"),
        (b"\0\x01\0\0\0", 8, "larger than max (16777216 vs. 4194304)"),
    ],
    ids=repr,
)
async def test_malformed_messages(sent: bytes, code: int, said: str) -> None:
    def talk(client: Client) -> dict[str, str]:
        stream = client.open()
        client.send(stream, sent)
        return client.answer(stream)

    sink = Sink()
    async with receiving(sink, grpc={}) as receiver:
        answer = await run(receiver, talk)
    assert int(answer["grpc-status"]) == code
    assert said in answer["grpc-message"]
    assert sink.tried == []


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({":method": "GET"}, "405", None),
        ({"content-type": "application/json"}, "415", None),
        ({"content-type": "application/grpcish"}, "415", None),
        ({"content-type": "application/grpc+proto"}, "200", "0"),
        ({":path": "/a.Service/Method"}, "200", "12"),
        ({"grpc-encoding": "br"}, "200", "12"),
    ],
    ids=repr,
)
async def test_wrong_calls(headers: dict[str, str], status: str, code: str | None) -> None:
    async with receiving(Sink(), grpc={}) as receiver:
        answer = await run(receiver, lambda client: client.call(BODY, **headers))
    assert answer[":status"] == status
    assert answer.get("grpc-status") == code
    if code == "12":
        assert answer["grpc-accept-encoding"] == "gzip,zstd,snappy"


@pytest.mark.parametrize("coding", ["gzip", "zstd", "snappy"])
async def test_a_bomb_is_no_larger_than_a_message(coding: str) -> None:
    bomb = CODINGS[coding](b"\0" * 20_000_000)
    async with receiving(Sink(), grpc={"max_recv_msg_size_mib": 1}) as receiver:
        answer = await run(receiver, lambda client: client.call(bomb, 1, grpc_encoding=coding))
    assert answer["grpc-status"] == "8"
    assert "larger than max (1048576)" in answer["grpc-message"]


async def test_messages_above_four_mib_when_the_configuration_says_so() -> None:
    sink = Sink()
    batch = traces(100, padding=60_000)
    large = {"max_recv_msg_size_mib": 8}
    async with receiving(sink, grpc=large) as receiver, calling(receiver) as call:
        for _ in range(3):
            await call(batch)
    assert [bytes(taken.wire()) for taken in sink.batches] == [bytes(batch.wire())] * 3
    async with receiving(sink, grpc={}) as receiver, calling(receiver) as call:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(batch)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "google.rpc.retryinfo-bin" not in dict(caught.value.trailing_metadata())


async def test_windows_grow_with_the_messages() -> None:
    def talk(client: Client) -> list[int]:
        windows = [client.h2.remote_settings.initial_window_size]
        client.until(h2.events.RemoteSettingsChanged)
        for _ in range(3):
            assert client.call(LARGE)["grpc-status"] == "0"
            windows.append(client.h2.remote_settings.initial_window_size)
        return windows

    async with receiving(Sink(), grpc={}) as receiver:
        windows = await run(receiver, talk)
    assert windows[0] == 65_535
    assert windows[-1] >= len(LARGE)


async def test_windows_stay_small_when_memory_is_short() -> None:
    def talk(client: Client) -> int:
        for _ in range(3):
            assert client.call(LARGE)["grpc-status"] == "0"
        return client.h2.outbound_flow_control_window

    budget = admission()
    budget.limit = budget.used + 5_000_000
    try:
        async with receiving(Forgetful(), grpc={}) as receiver:
            assert await run(receiver, talk) < 100_000
    finally:
        budget.limit = None


class Forgetful(Sink):
    """Keeps nothing."""

    async def consume(self, batch: object) -> None:
        del batch


async def test_concurrent_streams_are_limited() -> None:
    def talk(client: Client) -> int:
        client.until(h2.events.RemoteSettingsChanged)
        return int(client.h2.remote_settings.max_concurrent_streams)

    async with receiving(Sink(), grpc={"max_concurrent_streams": 3}) as receiver:
        assert await run(receiver, talk) == 3


async def test_a_slow_message_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.pipeline.net.BODY_PATIENCE", 0.3)

    def talk(client: Client) -> dict[str, str]:
        stream = client.open()
        client.send(stream, b"\0\0\0\x40\0" + b"\x0a" * 10, end=False)
        return client.answer(stream)

    async with receiving(Sink(), grpc={}) as receiver:
        answer = await run(receiver, talk)
        assert answer["grpc-status"] == "4"


async def test_stalled_senders_hold_next_to_nothing() -> None:
    def talk(client: Client) -> int:
        before = admission().used
        streams = [client.open() for _ in range(20)]
        for stream in streams:
            client.send(stream, b"\0\0\x3f\xff\xff" + b"\x0a", end=False)
        assert client.call(BODY)["grpc-status"] == "0"
        return admission().used - before

    async with receiving(Forgetful(), grpc={}) as receiver:
        assert await run(receiver, talk) < 20 * 40_000 + 200_000


@pytest.fixture
def full() -> Iterator[None]:
    budget = admission()
    budget.limit = budget.used + 200_000
    yield
    budget.limit = None


async def test_over_the_budget_the_door_says_try_again(full: None) -> None:
    sink = Sink()
    async with receiving(sink, grpc={}) as receiver, calling(receiver) as call:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(traces(500, padding=2000))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "google.rpc.retryinfo-bin" in dict(caught.value.trailing_metadata())
        await call(BATCH)
    assert len(sink.tried) == 1


async def test_refusing_needs_no_pipeline() -> None:
    sink = Sink()
    async with receiving(sink, grpc={}) as receiver, calling(receiver) as call:
        admission().refuse("memory is short", after=2.0)
        try:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(BATCH)
        finally:
            admission().refuse(None)
        trailers = dict(caught.value.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        assert (status.code, status.message) == (14, "memory is short")
        await call(BATCH)
    assert len(sink.tried) == 1


async def test_all_bytes_are_given_back() -> None:
    gc.collect()
    before = admission().used
    async with receiving(Forgetful(), grpc={}) as receiver, calling(receiver) as call:
        await asyncio.gather(*[call(BATCH) for _ in range(20)])
    gc.collect()
    assert admission().used == before


async def test_too_many_pings_end_the_connection() -> None:
    def talk(client: Client) -> h2.events.ConnectionTerminated:
        client.until(h2.events.RemoteSettingsChanged)
        for _ in range(4):
            client.h2.ping(b"12345678")
            client.flush()
        return client.until(h2.events.ConnectionTerminated)

    async with receiving(Sink(), grpc={}) as receiver:
        ended = await run(receiver, talk)
    assert ended.error_code == 11
    assert ended.additional_data == b"too_many_pings"


async def test_allowed_pings_are_answered() -> None:
    policy = {"min_time": "1ms", "permit_without_stream": True}

    def talk(client: Client) -> str:
        for _ in range(6):
            client.h2.ping(b"12345678")
            client.flush()
            client.until(h2.events.PingAckReceived)
            time.sleep(0.01)
        return client.call(BODY)["grpc-status"]

    async with receiving(Sink(), grpc={"keepalive": {"enforcement_policy": policy}}) as receiver:
        assert await run(receiver, talk) == "0"


async def test_an_old_connection_is_sent_away_and_its_calls_finish() -> None:
    sink = Sink()
    sink.close()
    age = {"server_parameters": {"max_connection_age": "300ms"}}

    def talk(client: Client) -> list[Frame]:
        stream = client.open()
        client.send(stream, struct.pack(">BI", 0, len(BODY)) + BODY)
        frames = client.rest()
        found = [next(frames)]
        while found[-1].kind != GOAWAY:
            found.append(next(frames))
        loop.call_soon_threadsafe(sink.open)
        return [*found, *frames]

    loop = asyncio.get_running_loop()
    async with receiving(sink, grpc={"keepalive": age}) as receiver:
        frames = await run(receiver, talk)
    assert len(sink.batches) == 1
    kinds = [frame.kind for frame in frames]
    assert kinds.index(GOAWAY) < kinds.index(HEADERS)
    assert kinds.count(HEADERS) == 2
    assert {frame.payload[4:8] for frame in frames if frame.kind == GOAWAY} == {b"\0\0\0\0"}


async def test_the_grace_of_an_old_connection_ends() -> None:
    sink = Sink()
    sink.close()
    age = {"max_connection_age": "200ms", "max_connection_age_grace": "200ms"}

    def talk(client: Client) -> float:
        stream = client.open()
        client.send(stream, struct.pack(">BI", 0, len(BODY)) + BODY)
        started = time.monotonic()
        while client.socket.recv(65536):
            pass
        return time.monotonic() - started

    async with receiving(sink, grpc={"keepalive": {"server_parameters": age}}) as receiver:
        assert 0.3 < await run(receiver, talk) < 3
        sink.open()


async def test_an_idle_connection_is_sent_away() -> None:
    idle = {"server_parameters": {"max_connection_idle": "200ms"}}

    def talk(client: Client) -> list[int]:
        assert client.call(BODY)["grpc-status"] == "0"
        return [frame.kind for frame in client.rest()]

    async with receiving(Sink(), grpc={"keepalive": idle}) as receiver:
        assert GOAWAY in await run(receiver, talk)


async def test_a_silent_client_is_asked_whether_it_is_there() -> None:
    alive = {"server_parameters": {"time": "200ms", "timeout": "200ms"}}

    def deaf(client: Client) -> float:
        started = time.monotonic()
        while client.socket.recv(65536):
            pass
        return time.monotonic() - started

    def there(client: Client) -> str:
        client.until(h2.events.PingReceived)
        client.until(h2.events.PingReceived)
        return client.call(BODY)["grpc-status"]

    async with receiving(Sink(), grpc={"keepalive": alive}) as receiver:
        assert 0.3 < await run(receiver, deaf) < 3
        assert await run(receiver, there) == "0"


async def test_a_client_that_never_speaks_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.pipeline.net.HANDSHAKE", 0.2)

    def talk() -> bytes:
        host, _, port = receiver.addresses["grpc"].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            data = b""
            while chunk := client.recv(4096):
                data += chunk
            return data

    async with receiving(Sink(), grpc={}) as receiver:
        await asyncio.wait_for(asyncio.to_thread(talk), 5)


async def test_stopping_sends_clients_away() -> None:
    async with receiving(Sink(), grpc={}) as receiver, calling(receiver) as call:
        await call(BATCH)
        await asyncio.wait_for(receiver.stop(), 3)
