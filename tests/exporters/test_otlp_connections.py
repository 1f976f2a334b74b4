"""Connections of the otlp exporter: which are made, when they end, and that nothing is lost."""

import asyncio
import base64
import gzip
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import cramjam
import pytest
from backends import GrpcBackend
from bench import Bench
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import DebugInfo, RetryInfo
from google.rpc.status_pb2 import Status
from h2.errors import ErrorCodes
from h2backend import H2Backend, Stream, until

from heliograph._core import GrpcClient, Outcome
from heliograph.errors import Reject, Retry
from heliograph.exporters.otlp import Exporter
from heliograph.otlp import Batch
from heliograph.pipeline import net_client
from heliograph.pipeline.edge_client import reply
from heliograph.testing import traces

Start = Callable[[Callable[[Stream], None]], Any]


@pytest.fixture
async def h2backend() -> AsyncIterator[Start]:
    started: list[H2Backend] = []

    async def start(handle: Callable[[Stream], None], path: str | None = None) -> H2Backend:
        backend = await H2Backend(handle).start(path=path)
        started.append(backend)
        return backend

    yield start
    for backend in started:
        await backend.stop()


def native(exporter: Exporter) -> GrpcClient:
    assert exporter._client is not None
    return exporter._client


async def insistently(exporter: Exporter, batch: Batch) -> None:
    """Send until it is taken, as the delivery around an exporter does."""
    while True:
        try:
            await exporter.consume(batch)
        except Retry:
            await asyncio.sleep(0.01)
        else:
            return


@pytest.mark.parametrize("compression", ["gzip", "zstd", "snappy", "none"])
async def test_compression(bench: Bench, h2backend: Start, compression: str) -> None:
    backend = await h2backend(Stream.answer)
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", compression=compression)
    batch = traces(50)
    await exporter.consume(batch)
    [stream] = backend.streams
    unpack: dict[str, Callable[[bytes], Any]] = {
        "gzip": gzip.decompress,
        "zstd": cramjam.zstd.decompress,
        "snappy": cramjam.snappy.decompress,
    }
    compressed, message = stream.message
    if compression == "none":
        assert "grpc-encoding" not in stream.headers
        assert (compressed, message) == (False, bytes(batch.wire()))
    else:
        assert stream.headers["grpc-encoding"] == compression
        assert compressed
        assert len(message) < batch.nbytes
        assert bytes(unpack[compression](message)) == bytes(batch.wire())


def encoded(message: Message) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def status_with_delay() -> str:
    status = Status(code=14, message="full")
    status.details.add().Pack(DebugInfo(detail="not this one"))
    status.details.add().Pack(DELAY)
    return encoded(status)


DELAY = RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))


@pytest.mark.parametrize(
    ("status", "trailers"),
    [
        (14, {"grpc_status_details_bin": status_with_delay()}),
        (8, {"grpc_status_details_bin": status_with_delay().rstrip("=")}),
        (8, {"google.rpc.retryinfo_bin": encoded(DELAY)}),
    ],
)
async def test_the_delay_that_the_other_side_names(
    bench: Bench, h2backend: Start, status: int, trailers: dict[str, str]
) -> None:
    backend = await h2backend(lambda stream: stream.answer(status, **trailers))
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    with pytest.raises(Retry) as caught:
        await exporter.consume(traces(1))
    assert caught.value.after == 1.5


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [(401, Reject, "UNAUTHENTICATED"), (404, Reject, "UNIMPLEMENTED"), (503, Retry, "UNAVAILABLE")],
)
async def test_what_stands_before_a_server_answers_in_plain_http(
    bench: Bench, h2backend: Start, status: int, error: type[Retry | Reject], code: str
) -> None:
    backend = await h2backend(lambda stream: stream.plain(status, b"go away"))
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    with pytest.raises(error, match=f"{code}: HTTP {status} .*go away"):
        await exporter.consume(traces(1))


async def test_what_is_not_grpc(bench: Bench, h2backend: Start) -> None:
    backend = await h2backend(lambda stream: stream.plain(200, b"<html>", content_type="text/html"))
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    with pytest.raises(Reject, match="not gRPC; is this the gRPC port"):
        await exporter.consume(traces(1))


async def test_requests_that_goaway_left_out_go_to_a_new_connection(
    bench: Bench, h2backend: Start
) -> None:
    def handle(stream: Stream) -> None:
        if stream.connection is not backend.connections[0]:
            stream.answer()
        elif stream.number == 3:
            stream.connection.go_away(last=1)
            backend.streams[0].answer()

    backend = await h2backend(handle)
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    first = asyncio.create_task(exporter.consume(traces(1)))
    await until(lambda: len(backend.streams) == 1)
    await asyncio.gather(first, exporter.consume(traces(2)))
    assert [stream.connection.h2 is backend.connections[0].h2 for stream in backend.streams] == [
        True,
        True,
        False,
    ]


async def test_goaway_without_requests_costs_nothing(bench: Bench, h2backend: Start) -> None:
    backend = await h2backend(Stream.answer)
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    for _ in range(5):
        await exporter.consume(traces(1))
        connection = backend.connections[-1]
        connection.go_away(last=2**31 - 1)
        await until(lambda connection=connection: not connection.is_open)
    assert len(backend.streams) == 5


async def test_a_refused_stream_is_sent_again(bench: Bench, h2backend: Start) -> None:
    def handle(stream: Stream) -> None:
        if len(backend.streams) < 3:
            stream.reset(ErrorCodes.REFUSED_STREAM)
        else:
            stream.answer()

    backend = await h2backend(handle)
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    await exporter.consume(traces(1))
    assert len(backend.streams) == 3


async def test_a_server_that_refuses_for_ever(bench: Bench, h2backend: Start) -> None:
    backend = await h2backend(lambda stream: stream.reset(ErrorCodes.REFUSED_STREAM))
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    with pytest.raises(Retry, match="UNAVAILABLE"):
        await exporter.consume(traces(1))
    assert len(backend.streams) == 6


async def test_a_connection_that_breaks_in_a_call(bench: Bench, h2backend: Start) -> None:
    backend = await h2backend(lambda stream: stream.connection.transport.abort())
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    with pytest.raises(Retry, match="UNAVAILABLE: "):
        await exporter.consume(traces(1))
    backend.handle = Stream.answer
    await insistently(exporter, traces(1))


async def test_calls_go_to_all_addresses_and_survive_the_loss_of_one(bench: Bench) -> None:
    sinks = [GrpcBackend(), GrpcBackend()]
    exporter = await bench.grpc("tempo:4317")
    native(exporter).pin([f"127.0.0.1:{sink.port}" for sink in sinks])
    try:
        await exporter.consume(traces(1, name="warm"))
        await until_both(exporter, sinks)
        for sink in sinks:
            sink.received.clear()
        for number in range(10):
            await exporter.consume(traces(1, name=f"first {number}"))
        assert [len(sink.received) for sink in sinks] == [5, 5]
        sent = [traces(1, name=f"second {number}") for number in range(20)]
        tasks = [asyncio.create_task(insistently(exporter, batch)) for batch in sent]
        sinks[0].stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        arrived = {request.body for sink in sinks for request in sink.received}
        assert {bytes(batch.wire()) for batch in sent} <= arrived
    finally:
        for sink in sinks:
            sink.stop()


async def until_both(exporter: Exporter, sinks: list[GrpcBackend]) -> None:
    """Send until every sink has got something: connections are made one by one."""
    end = time.monotonic() + 5
    while not all(sink.received for sink in sinks):
        assert time.monotonic() < end
        await exporter.consume(traces(1))


async def test_a_new_address_gets_its_share_and_an_old_one_is_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net_client, "LOOK_UP_INTERVAL", 0.05)
    sinks = [GrpcBackend(), GrpcBackend()]
    addresses = [f"127.0.0.1:{sink.port}" for sink in sinks]
    exporter = await bench.grpc("tempo:4317")
    try:
        native(exporter).pin(addresses[:1])
        await exporter.consume(traces(1))
        native(exporter).pin(addresses)
        await until_both(exporter, sinks)
        native(exporter).pin(addresses[1:])
        end = time.monotonic() + 5
        while time.monotonic() < end:
            before = len(sinks[0].received)
            for _ in range(4):
                await exporter.consume(traces(1))
            if len(sinks[0].received) == before:
                return
        pytest.fail("the address that is gone still gets requests")
    finally:
        for sink in sinks:
            sink.stop()


@pytest.mark.parametrize("balancer_name", ["round_robin", "pick_first"])
async def test_a_lost_connection_looks_the_name_up(bench: Bench, balancer_name: str) -> None:
    sinks = [GrpcBackend(), GrpcBackend()]
    exporter = await bench.grpc("tempo:4317", balancer_name=balancer_name)
    try:
        native(exporter).pin([f"127.0.0.1:{sinks[0].port}"])
        await exporter.consume(traces(1))
        native(exporter).pin([f"127.0.0.1:{sinks[1].port}"])
        sinks[0].stop()
        await asyncio.wait_for(insistently(exporter, traces(1)), 10)
        assert len(sinks[1].received) == 1
    finally:
        for sink in sinks:
            sink.stop()


async def test_pick_first_uses_one_and_falls_back(bench: Bench) -> None:
    sinks = [GrpcBackend(), GrpcBackend()]
    exporter = await bench.grpc("dns:///tempo:4317", balancer_name="pick_first")
    native(exporter).pin([f"127.0.0.1:{sink.port}" for sink in sinks])
    try:
        for _ in range(4):
            await exporter.consume(traces(1))
        assert [len(sink.received) for sink in sinks] == [4, 0]
        sinks[0].stop()
        await asyncio.wait_for(insistently(exporter, traces(1)), 10)
        assert len(sinks[1].received) == 1
    finally:
        for sink in sinks:
            sink.stop()


async def test_a_server_that_comes_back_is_found(bench: Bench) -> None:
    sink = GrpcBackend()
    port = sink.port
    exporter = await bench.grpc(f"127.0.0.1:{port}")
    await exporter.consume(traces(1))
    sink.stop()
    with pytest.raises(Retry):
        await exporter.consume(traces(1))
    sink = GrpcBackend(address=f"127.0.0.1:{port}")
    try:
        await asyncio.wait_for(insistently(exporter, traces(1)), 10)
    finally:
        sink.stop()


async def test_wait_for_ready_waits(bench: Bench) -> None:
    sink = GrpcBackend()
    sink.stop()
    exporter = await bench.grpc(f"127.0.0.1:{sink.port}", wait_for_ready=True, timeout="10s")
    waiting = asyncio.create_task(exporter.consume(traces(1)))
    impatient = await bench.grpc(f"127.0.0.1:{sink.port}", wait_for_ready=True, timeout="200ms")
    with pytest.raises(Retry, match="no answer within 200ms: connection refused"):
        await impatient.consume(traces(1))
    assert not waiting.done()
    sink = GrpcBackend(address=f"127.0.0.1:{sink.port}")
    try:
        await asyncio.wait_for(waiting, 10)
    finally:
        sink.stop()


async def test_a_name_that_does_not_exist(bench: Bench) -> None:
    exporter = await bench.grpc("no-such-host.invalid:4317")
    with pytest.raises(Retry, match=r"UNAVAILABLE: cannot find no-such-host\.invalid: "):
        await exporter.consume(traces(1))


@pytest.mark.parametrize("form", ["unix://{}", "unix:{}"])
async def test_unix_sockets(bench: Bench, h2backend: Any, tmp_path: Path, form: str) -> None:
    path = str(tmp_path / "otlp.sock")
    backend = await h2backend(Stream.answer, path)
    exporter = await bench.grpc(form.format(path))
    await exporter.consume(traces(1))
    [stream] = backend.streams
    assert stream.headers[":authority"] == "localhost"


async def test_authority(bench: Bench, h2backend: Start) -> None:
    backend = await h2backend(Stream.answer)
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", authority="tempo.internal")
    await exporter.consume(traces(1))
    assert backend.streams[0].headers[":authority"] == "tempo.internal"


def quick_pings(bench: Bench, port: int, *, idle: bool, patience: float = 10) -> GrpcClient:
    """A client that pings sooner than the configuration allows, and waits so long for an answer."""
    from heliograph.exporters.otlp import Config

    config = Config.model_validate({"endpoint": f"127.0.0.1:{port}", "tls": {"insecure": True}})
    return GrpcClient(bench.edge.events, config.native() | {"keepalive": (0.05, patience, idle)})


async def send(client: GrpcClient) -> Outcome:
    return await reply(lambda target: client.send(traces(1), 30, target))


async def test_a_dead_connection_is_noticed(bench: Bench, h2backend: Start) -> None:
    def handle(stream: Stream) -> None:
        backend.deaf = True

    backend = await h2backend(handle)
    client = quick_pings(bench, backend.port, idle=False, patience=0.2)
    outcome = await asyncio.wait_for(send(client), 5)
    assert outcome.retryable
    assert outcome.message == "no answer to a keep-alive ping within 200ms"
    client.close()


@pytest.mark.parametrize("idle", [True, False])
async def test_idle_connections_are_pinged_when_permitted(
    bench: Bench, h2backend: Start, idle: bool
) -> None:
    backend = await h2backend(Stream.answer)
    client = quick_pings(bench, backend.port, idle=idle)
    assert (await send(client)).ok
    if idle:
        await until(lambda: len(backend.connections[0].pings) >= 2)
    else:
        busy = quick_pings(bench, backend.port, idle=True)
        assert (await send(busy)).ok
        await until(lambda: len(backend.connections[1].pings) >= 3)
        assert backend.connections[0].pings == []
        busy.close()
    assert len(backend.connections) == (1 if idle else 2)
    client.close()


async def test_a_server_that_wants_fewer_pings_gets_fewer(bench: Bench, h2backend: Start) -> None:
    backend = await h2backend(Stream.answer)
    client = quick_pings(bench, backend.port, idle=True)
    for halved in range(3):
        assert (await send(client)).ok
        connection = backend.connections[halved]
        await until(lambda connection=connection: connection.pings)
        connection.go_away(2**31 - 1, ErrorCodes.ENHANCE_YOUR_CALM, b"too_many_pings")
        await until(lambda halved=halved: len(backend.connections) == halved + 2)
    last = backend.connections[-1]
    await until(lambda: len(last.pings) >= 3)
    # Every 50 ms, slowed down three times.
    assert last.pings[2] - last.pings[0] > 0.6
    client.close()


async def test_a_closed_client_closes_its_connection(bench: Bench, h2backend: Start) -> None:
    backend = await h2backend(Stream.answer)
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    await exporter.consume(traces(1))
    await exporter.stop()
    await until(lambda: backend.connections[0].goaway or not backend.connections[0].is_open)
