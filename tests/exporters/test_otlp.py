"""The otlp exporter against official gRPC servers."""

import asyncio
from collections.abc import Callable, Iterator

import grpc
import pytest
from backends import GrpcBackend
from bench import Bench
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from heliograph.errors import ConfigError, Reject, Retry
from heliograph.exporters.otlp import Config
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentId
from heliograph.testing import logs, metrics, traces

SERVICE = "/opentelemetry.proto.collector"


@pytest.fixture
def backend() -> Iterator[GrpcBackend]:
    backend = GrpcBackend()
    yield backend
    backend.stop()


@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_every_signal_arrives_byte_for_byte(
    bench: Bench, backend: GrpcBackend, compression: str
) -> None:
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", compression=compression)
    batches = [traces(3), metrics(2), logs(1), Batch(Signal.PROFILES, b"\x0a\x00")]
    for batch in batches:
        await exporter.consume(batch)
    assert [(request.path, request.body) for request in backend.received] == [
        (f"{SERVICE}.trace.v1.TraceService/Export", bytes(batches[0].wire())),
        (f"{SERVICE}.metrics.v1.MetricsService/Export", bytes(batches[1].wire())),
        (f"{SERVICE}.logs.v1.LogsService/Export", bytes(batches[2].wire())),
        (f"{SERVICE}.profiles.v1development.ProfilesService/Export", bytes(batches[3].wire())),
    ]


async def test_large_batches_share_one_connection(bench: Bench, backend: GrpcBackend) -> None:
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", compression="none")
    batches = [traces(20, padding=20_000, name=f"batch {i}") for i in range(20)]
    peers = set()

    def answer(context: grpc.ServicerContext) -> bytes:
        peers.add(context.peer())
        return b""

    backend.answer = answer
    await asyncio.gather(*(exporter.consume(batch) for batch in batches))
    assert sorted(request.body for request in backend.received) == sorted(
        bytes(batch.wire()) for batch in batches
    )
    assert len(peers) == 1


async def test_headers_deadline_and_user_agent_are_sent(bench: Bench, backend: GrpcBackend) -> None:
    exporter = await bench.grpc(
        f"http://127.0.0.1:{backend.port}", headers={"X-Scope-OrgID": "team"}, timeout="7s"
    )
    await exporter.consume(traces(1))
    [request] = backend.received
    assert request.headers["x-scope-orgid"] == "team"
    assert request.headers["user-agent"].startswith("heliograph/")
    assert request.remaining is not None
    assert 5 < request.remaining <= 7


async def test_empty_batches_are_not_sent(bench: Bench, backend: GrpcBackend) -> None:
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    await exporter.consume(Batch(Signal.TRACES, b""))
    await exporter.consume(traces(1))
    assert len(backend.received) == 1


def abort(code: grpc.StatusCode, message: str) -> Callable[[grpc.ServicerContext], bytes]:
    def answer(context: grpc.ServicerContext) -> bytes:
        context.abort(code, message)
        raise AssertionError

    return answer


PASSING = ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name != "OK"])
async def test_status_codes(bench: Bench, backend: GrpcBackend, code: grpc.StatusCode) -> None:
    endpoint = f"127.0.0.1:{backend.port}"
    exporter = await bench.grpc(endpoint)
    backend.answer = abort(code, "100 % full, ü")
    with pytest.raises(Retry if code.name in PASSING else Reject) as caught:
        await exporter.consume(traces(1))
    assert caught.value.reason == f"otlp/tempo: {endpoint}: {code.name}: 100 % full, ü"
    if isinstance(caught.value, Reject):
        assert caught.value.code == code.value[0]


async def test_nobody_listens(bench: Bench) -> None:
    backend = GrpcBackend()
    backend.stop()
    endpoint = f"127.0.0.1:{backend.port}"
    exporter = await bench.grpc(endpoint)
    with pytest.raises(Retry) as caught:
        await exporter.consume(traces(1))
    assert caught.value.reason == f"otlp/tempo: {endpoint}: UNAVAILABLE: connection refused"


async def test_an_answer_that_does_not_come(bench: Bench, backend: GrpcBackend) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(context: grpc.ServicerContext) -> bytes:
        loop.call_soon_threadsafe(asked.set)
        while context.is_active():
            pass
        return b""

    backend.answer = answer
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", timeout="300ms")
    with pytest.raises(Retry, match="DEADLINE_EXCEEDED"):
        await exporter.consume(traces(1))
    assert asked.is_set()


async def test_a_partial_success_is_said_and_counted(
    bench: Bench, backend: GrpcBackend, caplog: pytest.LogCaptureFixture
) -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 2
    response.partial_success.error_message = "too old"
    backend.answer = lambda context: response.SerializeToString()
    endpoint = f"127.0.0.1:{backend.port}"
    exporter = await bench.grpc(endpoint)
    for _ in range(3):
        await exporter.consume(traces(5))
    assert [record.getMessage() for record in caplog.records] == [
        f"{endpoint} did not take 2 of 5 items: too old"
    ]
    assert bench.telemetry.value("heliograph_exporter_dropped_spans") == 6


async def test_a_full_success_says_nothing(
    bench: Bench, backend: GrpcBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = lambda context: ExportLogsServiceResponse().SerializeToString()
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    await exporter.consume(logs(1))
    assert caplog.records == []


async def test_a_cancelled_send_cancels_the_call(bench: Bench, backend: GrpcBackend) -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(context: grpc.ServicerContext) -> bytes:
        context.add_callback(lambda: loop.call_soon_threadsafe(cancelled.set))
        loop.call_soon_threadsafe(asked.set)
        while context.is_active():
            pass
        return b""

    backend.answer = answer
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}")
    task = asyncio.create_task(exporter.consume(traces(1)))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(cancelled.wait(), 5)


class Signer:
    """An authenticator whose credential changes."""

    signals = frozenset[Signal]()

    def __init__(self) -> None:
        self.token = 0

    def headers(self) -> dict[str, str]:
        self.token += 1
        return {"authorization": f"Bearer {self.token}"}


async def test_credentials_are_read_for_each_request(bench: Bench, backend: GrpcBackend) -> None:
    exporter = await bench.grpc(
        f"127.0.0.1:{backend.port}",
        auth={"authenticator": "signer/x"},
        extensions={ComponentId("signer", "x"): Signer()},
    )
    await exporter.consume(traces(1))
    await exporter.consume(traces(1))
    assert [request.headers["authorization"] for request in backend.received] == [
        "Bearer 1",
        "Bearer 2",
    ]


async def test_an_authenticator_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"^auth.authenticator: is 'nobody'"):
        await bench.grpc("127.0.0.1:1", auth={"authenticator": "nobody"})


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [("", "is empty"), ("tempo", "write tempo:4317"), ("grpc://tempo:1", "unknown scheme 'grpc'")],
)
def test_wrong_endpoints_are_found_before_start(endpoint: str, says: str) -> None:
    [problem] = Config(endpoint=endpoint).check()
    assert problem.path == "endpoint"
    assert says in problem.message


@pytest.mark.parametrize(
    ("endpoint", "insecure", "secure"),
    [
        ("tempo:4317", False, True),
        ("tempo:4317", True, False),
        ("http://tempo:4317", False, False),
        ("https://tempo:4317", True, True),
        ("dns:///tempo:4317", False, True),
    ],
)
def test_when_tls_is_spoken(endpoint: str, insecure: bool, secure: bool) -> None:
    config = Config.model_validate({"endpoint": endpoint, "tls": {"insecure": insecure}})
    assert config.is_secure is secure
