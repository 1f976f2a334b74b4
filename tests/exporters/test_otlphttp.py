"""The otlphttp exporter against HTTP servers."""

import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from backends import Answer, HttpBackend
from bench import Bench
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from heliograph.errors import Reject, Retry
from heliograph.exporters.otlphttp import Config
from heliograph.otlp import Batch, Signal
from heliograph.testing import logs, metrics, traces


@pytest.fixture
def backend() -> Iterator[HttpBackend]:
    backend = HttpBackend()
    yield backend
    backend.stop()


def unpacked(coding: str | None, body: bytes) -> bytes:
    match coding:
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case _:
            return body


@pytest.mark.parametrize("compression", ["gzip", "zlib", "deflate", "none"])
async def test_every_signal_arrives_byte_for_byte(
    bench: Bench, backend: HttpBackend, compression: str
) -> None:
    exporter = await bench.http(
        endpoint=f"http://127.0.0.1:{backend.port}/", compression=compression
    )
    batches = [traces(3), metrics(2), logs(1), Batch(Signal.PROFILES, b"\x0a\x00")]
    for batch in batches:
        await exporter.consume(batch)
    paths = ["/v1/traces", "/v1/metrics", "/v1/logs", "/v1development/profiles"]
    assert [request.path for request in backend.received] == paths
    for batch, request in zip(batches, backend.received, strict=True):
        coding = request.headers.get("content-encoding")
        assert (coding is None) == (compression == "none")
        assert unpacked(coding, request.body) == bytes(batch.wire())
        assert request.headers["content-type"] == "application/x-protobuf"
        assert request.headers["user-agent"].startswith("heliograph/")
    assert backend.connections == 1


async def test_json(bench: Bench, backend: HttpBackend) -> None:
    exporter = await bench.http(
        endpoint=f"http://127.0.0.1:{backend.port}", encoding="json", compression="none"
    )
    batch = traces(2)
    await exporter.consume(batch)
    [request] = backend.received
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == json.loads(batch.json())


async def test_a_signal_with_its_own_endpoint(bench: Bench, backend: HttpBackend) -> None:
    exporter = await bench.http(
        traces_endpoint=f"http://127.0.0.1:{backend.port}/api/traces?x=1",
        headers=[{"name": "x-key", "value": "secret"}],
    )
    await exporter.consume(traces(1))
    [request] = backend.received
    assert request.path == "/api/traces?x=1"
    assert request.headers["x-key"] == "secret"
    with pytest.raises(Reject, match="no logs_endpoint"):
        await exporter.consume(logs(1))


async def test_credentials_in_a_url_are_sent_and_not_shown(
    bench: Bench, backend: HttpBackend
) -> None:
    exporter = await bench.http(endpoint=f"http://us%40er:pass@127.0.0.1:{backend.port}")
    backend.answer = lambda request: Answer(401)
    with pytest.raises(Reject) as caught:
        await exporter.consume(traces(1))
    [request] = backend.received
    assert request.headers["authorization"] == "Basic dXNAZXI6cGFzcw=="
    assert request.headers["host"] == f"127.0.0.1:{backend.port}"
    assert "pass" not in caught.value.reason


async def test_connections_spread_over_the_addresses_of_a_name(bench: Bench) -> None:
    sinks = [HttpBackend(), HttpBackend()]
    try:
        exporter = await bench.http(endpoint="http://tempo:4318", disable_keep_alives=True)
        pinned = [f"127.0.0.1:{sink.port}" for sink in sinks]
        assert exporter._sender is not None
        exporter._sender.client.pin(pinned)
        for _ in range(4):
            await exporter.consume(traces(1))
        assert [len(sink.received) for sink in sinks] == [2, 2]
        sinks[0].stop()
        await exporter.consume(traces(1))
        await exporter.consume(traces(1))
        assert len(sinks[1].received) == 4
    finally:
        for sink in sinks:
            sink.stop()


async def test_empty_batches_are_not_sent(bench: Bench, backend: HttpBackend) -> None:
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    await exporter.consume(Batch(Signal.TRACES, b""))
    assert backend.received == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 3), (401, 16), (403, 7), (404, 12), (413, 2), (500, 2), (501, 2)],
)
async def test_final_statuses(bench: Bench, backend: HttpBackend, status: int, code: int) -> None:
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    backend.answer = lambda request: Answer(status, {"content-type": "text/plain"}, b"no\nmore")
    with pytest.raises(Reject) as caught:
        await exporter.consume(traces(1))
    where = f"http://127.0.0.1:{backend.port}/v1/traces"
    assert caught.value.reason == f"otlphttp: {where}: HTTP {status}: no"
    assert caught.value.code == code


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_passing_statuses(bench: Bench, backend: HttpBackend, status: int) -> None:
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    backend.answer = lambda request: Answer(status, {"retry-after": "7"})
    with pytest.raises(Retry) as caught:
        await exporter.consume(traces(1))
    assert caught.value.after == 7
    assert caught.value.reason.endswith(f"HTTP {status}")


async def test_retry_after_may_be_a_date(bench: Bench, backend: HttpBackend) -> None:
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    backend.answer = lambda request: Answer(503, {"retry-after": date})
    with pytest.raises(Retry) as caught:
        await exporter.consume(traces(1))
    assert caught.value.after is not None
    assert 50 < caught.value.after <= 60


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-protobuf", b"\x08\x03\x12\x08bad span"),
        ("application/json", b'{"code": 3, "message": "bad span"}'),
        ("text/plain; charset=utf-8", b"bad span"),
    ],
)
async def test_what_the_other_side_says(
    bench: Bench, backend: HttpBackend, kind: str, body: bytes
) -> None:
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    backend.answer = lambda request: Answer(400, {"content-type": kind}, body)
    with pytest.raises(Reject, match=r"HTTP 400: bad span$"):
        await exporter.consume(traces(1))


async def test_a_redirect_says_where_to(bench: Bench, backend: HttpBackend) -> None:
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    backend.answer = lambda request: Answer(301, {"location": "https://new.example/v1/traces"})
    with pytest.raises(Reject, match=r"redirects to https://new\.example/v1/traces"):
        await exporter.consume(traces(1))


@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json"])
async def test_a_partial_success_is_said_and_counted(
    bench: Bench, backend: HttpBackend, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "application/json":
        body = b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}'
    else:
        response = ExportTraceServiceResponse()
        response.partial_success.rejected_spans = 2
        response.partial_success.error_message = "too old"
        body = response.SerializeToString()
    backend.answer = lambda request: Answer(200, {"content-type": kind}, body)
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    for _ in range(3):
        await exporter.consume(traces(5))
    assert [record.getMessage() for record in caplog.records] == [
        f"http://127.0.0.1:{backend.port}/v1/traces did not take 2 of 5 items: too old"
    ]
    assert bench.telemetry.value("heliograph_exporter_dropped_spans") == 6


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"not json", b'{"partialSuccess": 1}'])
async def test_an_odd_answer_is_still_success(
    bench: Bench, backend: HttpBackend, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = lambda request: Answer(200, {"content-type": "application/json"}, body)
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    await exporter.consume(traces(1))
    assert caplog.records == []


async def test_nobody_listens(bench: Bench) -> None:
    backend = HttpBackend()
    backend.stop()
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    with pytest.raises(Retry, match=r"UNAVAILABLE: connection refused$"):
        await exporter.consume(traces(1))


async def test_a_closed_connection_is_made_again(bench: Bench, backend: HttpBackend) -> None:
    exporter = await bench.http(endpoint=f"http://127.0.0.1:{backend.port}")
    backend.answer = lambda request: Answer(200, {"connection": "close"})
    await exporter.consume(traces(1))
    await exporter.consume(traces(1))
    assert (len(backend.received), backend.connections) == (2, 2)


def test_configurations_that_cannot_work() -> None:
    [missing] = Config().check()
    assert (missing.path, missing.fix) == ("endpoint", "write http://host:4318")
    [wrong] = Config(logs_endpoint="host:4318").check()
    assert (wrong.path, wrong.fix) == ("logs_endpoint", "write http://host:4318")
