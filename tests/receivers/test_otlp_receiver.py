"""The OTLP receiver, asked by official clients over loopback."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from serving import EXPORT, calling, posting, reached, receiving

from heliograph._core import admission
from heliograph.errors import ConfigError, Reject, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentId
from heliograph.pipeline.telemetry import Telemetry
from heliograph.receivers import otlp
from heliograph.receivers.otlp import Config
from heliograph.testing import Sink, logs, metrics, traces


def emit(spans: Any, points: Any, records: Any) -> None:
    """Send one span, one data point and one log record with the SDK."""
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    tracing.get_tracer("test").start_span("a span").end()
    tracing.shutdown()
    metering = MeterProvider([PeriodicExportingMetricReader(points)])
    metering.get_meter("test").create_counter("a.counter").add(1)
    metering.shutdown()
    logging = LoggerProvider()
    logging.add_log_record_processor(SimpleLogRecordProcessor(records))
    logging.get_logger("test").emit(LogRecord(body="a line", timestamp=1))
    logging.shutdown()


@pytest.mark.parametrize("compression", list(grpc.Compression)[:3:2])
async def test_the_sdk_over_grpc(compression: grpc.Compression) -> None:
    sink = Sink()
    async with receiving(sink, grpc={}) as receiver:
        options = {
            "endpoint": receiver.addresses["grpc"],
            "insecure": True,
            "compression": compression,
        }
        exporters = [kind(**options) for kind in (GrpcSpans, GrpcMetrics, GrpcLogs)]
        await asyncio.to_thread(emit, *exporters)
    assert [(batch.signal, batch.items) for batch in sink.batches] == [
        (Signal.TRACES, 1),
        (Signal.METRICS, 1),
        (Signal.LOGS, 1),
    ]


@pytest.mark.parametrize("compression", list(Compression))
async def test_the_sdk_over_http(compression: Compression) -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        base = f"http://{receiver.addresses['http']}/v1"
        await asyncio.to_thread(
            emit,
            HttpSpans(endpoint=f"{base}/traces", compression=compression),
            HttpMetrics(endpoint=f"{base}/metrics", compression=compression),
            HttpLogs(endpoint=f"{base}/logs", compression=compression),
        )
    assert [(batch.signal, batch.items) for batch in sink.batches] == [
        (Signal.TRACES, 1),
        (Signal.METRICS, 1),
        (Signal.LOGS, 1),
    ]


@pytest.mark.parametrize("batch", [traces(3), metrics(2), logs(4)], ids=lambda batch: batch.signal)
async def test_bytes_arrive_as_they_were_sent(batch: Batch) -> None:
    sink = Sink()
    path = {Signal.TRACES: "traces", Signal.METRICS: "metrics", Signal.LOGS: "logs"}[batch.signal]
    async with receiving(sink, grpc={}, http={}) as receiver:
        async with calling(receiver) as call:
            assert await call(batch) == b""
        answer = await posting(receiver, f"/v1/{path}", bytes(batch.wire()))
        assert (answer.status, answer.body) == (200, b"")
        text = await posting(receiver, f"/v1/{path}", batch.json(), kind="application/json")
        assert (text.status, text.body) == (200, b"{}")
    assert [bytes(taken.wire()) for taken in sink.batches[:2]] == [bytes(batch.wire())] * 2
    assert [taken.items for taken in sink.batches] == [batch.items] * 3


async def test_profiles_pass_as_they_are() -> None:
    sink = Sink()
    async with receiving(sink, grpc={}, http={}) as receiver:
        profiles = Batch(Signal.PROFILES, b"\x0a\x02\x0a\x00")
        async with calling(receiver) as call:
            await call(profiles)
        answer = await posting(receiver, "/v1development/profiles", bytes(profiles.wire()))
        assert answer.status == 200
    assert [batch.signal for batch in sink.batches] == [Signal.PROFILES] * 2


async def test_an_empty_request_is_fine_and_goes_nowhere() -> None:
    sink = Sink()
    async with receiving(sink, grpc={}, http={}) as receiver:
        async with calling(receiver) as call:
            assert await call(Batch(Signal.TRACES, b"")) == b""
        for kind, body in (("application/x-protobuf", b""), ("application/json", b"{}")):
            answer = await posting(receiver, "/v1/traces", body, kind=kind)
            assert answer.status == 200
    assert sink.tried == []


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (Reject("no"), 13, 500),
        (Reject("no", 1), 1, 503),
        (Reject("no", 3), 3, 400),
        (Reject("no", 4), 4, 503),
        (Reject("no", 5), 5, 500),
        (Reject("no", 7), 7, 403),
        (Reject("no", 8), 8, 429),
        (Reject("no", 10), 10, 503),
        (Reject("no", 11), 11, 503),
        (Reject("no", 12), 12, 404),
        (Reject("no", 15), 15, 503),
        (Reject("no", 16), 16, 401),
    ],
    ids=repr,
)
async def test_a_rejection_keeps_its_code(error: Reject, code: int, status: int) -> None:
    async with receiving(Sink([error] * 3), grpc={}, http={}) as receiver:
        async with calling(receiver) as call:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(traces(1))
        assert (caught.value.code().value[0], caught.value.details()) == (code, "no")
        assert dict(caught.value.trailing_metadata()) == {}
        answer = await posting(receiver, "/v1/traces", bytes(traces(1).wire()))
        assert answer.status == status
        assert "retry-after" not in answer.headers
        assert status_pb2.Status.FromString(answer.body) == status_pb2.Status(
            code=code, message="no"
        )
        body = traces(1).json()
        answer = await posting(receiver, "/v1/traces", body, kind="application/json")
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.body) == {"code": code, "message": "no"}


@pytest.mark.parametrize("after", [None, 0.2, 60.0])
async def test_try_again_says_when(after: float | None) -> None:
    async with receiving(Sink([Retry("busy: é", after)] * 3), grpc={}, http={}) as receiver:
        async with calling(receiver) as call:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(traces(1))
        error = caught.value
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "busy: é")
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        info = error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert info == error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
        delay = info.retry_delay.ToTimedelta().total_seconds()
        most = min(2.0, 1.0 if after is None else after)
        assert most / 2 <= delay <= most
        answer = await posting(receiver, "/v1/traces", bytes(traces(1).wire()))
        assert answer.status == 503
        assert answer.headers["retry-after"] in ("1", "2", "3")
        body = traces(1).json()
        answer = await posting(receiver, "/v1/traces", body, kind="application/json")
        said = json.loads(answer.body)
        assert (said["code"], said["message"]) == (14, "busy: é")
        assert said["details"][0]["@type"] == "type.googleapis.com/google.rpc.RetryInfo"


async def test_a_sender_waits_no_longer_than_its_patience_or_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(otlp, "PATIENCE", 0.5)
    sink = Sink()
    sink.close()
    async with receiving(sink, grpc={}, http={}) as receiver:
        started = time.monotonic()
        answer = await posting(receiver, "/v1/traces", bytes(traces(1).wire()))
        assert answer.status == 503
        assert 0.4 < time.monotonic() - started < 3
        monkeypatch.setattr(otlp, "PATIENCE", 60.0)
        started = time.monotonic()
        async with calling(receiver) as call:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(traces(1), timeout=0.8)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - started < 0.8
    assert len(sink.tried) == 2
    assert sink.batches == []


async def test_deadline_peer_and_metadata_are_in_the_context() -> None:
    sink = Sink()
    include = {"include_metadata": True}
    async with receiving(sink, grpc=include, http=include) as receiver:
        async with calling(receiver) as call:
            await call(traces(1), timeout=30, metadata=(("x-tenant", "a"), ("x-tenant", "b")))
        headers = {"X-Tenant": "c"}
        await posting(receiver, "/v1/traces", bytes(traces(1).wire()), headers=headers)
    over_grpc, over_http = (batch.context for batch in sink.batches)
    assert over_grpc.deadline == pytest.approx(time.monotonic() + 30, abs=5)
    assert over_http.deadline is None
    assert list(over_grpc.metadata["x-tenant"]) == ["a", "b"]
    assert list(over_http.metadata["x-tenant"]) == ["c"]
    assert list(over_http.metadata["content-type"]) == ["application/x-protobuf"]
    assert over_grpc.peer.startswith("127.0.0.1:")


async def test_metadata_stays_out_unless_asked_for() -> None:
    sink = Sink()
    async with receiving(sink, http={}) as receiver:
        await posting(receiver, "/v1/traces", bytes(traces(1).wire()), headers={"x-tenant": "a"})
    assert dict(sink.batches[0].context.metadata) == {}


class Guard:
    """Lets one token in."""

    signals = frozenset[Signal]()

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def authenticate(self, headers: dict[str, str]) -> dict[str, str]:
        if headers.get("authorization") == "broken":
            raise RuntimeError("boom")
        if headers.get("authorization") != "Bearer right":
            raise Reject("who are you", 16)
        return {"subject": "shop"}


async def test_an_authenticator_decides_who_comes_in() -> None:
    sink = Sink()
    guarded = {"auth": {"authenticator": "guard/one"}}
    extensions = {ComponentId("guard", "one"): Guard()}
    async with receiving(sink, extensions=extensions, grpc=guarded, http=guarded) as receiver:
        body = bytes(traces(1).wire())
        assert (await posting(receiver, "/v1/traces", body)).status == 401
        headers = {"authorization": "Bearer right"}
        assert (await posting(receiver, "/v1/traces", body, headers=headers)).status == 200
        headers = {"authorization": "broken"}
        assert (await posting(receiver, "/v1/traces", body, headers=headers)).status == 503
        headers = {"expect": "100-continue", "content-length": "10000000"}
        assert (await posting(receiver, "/v1/traces", b"", headers=headers)).status == 401
        async with calling(receiver) as call:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(traces(1))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            await call(traces(1), metadata=(("authorization", "Bearer right"),))
    assert [dict(batch.context.auth) for batch in sink.batches] == [{"subject": "shop"}] * 2


async def test_an_authenticator_must_be_there() -> None:
    guarded = {"auth": {"authenticator": "guard"}}
    with pytest.raises(ConfigError) as caught:
        async with receiving(Sink(), grpc=guarded):
            pass
    assert "protocols.grpc.auth.authenticator: 'guard' is no authenticator" in str(caught.value)


async def test_a_port_in_use_is_named() -> None:
    async with receiving(Sink(), grpc={}) as receiver:
        address = receiver.addresses["grpc"]
        with pytest.raises(ConfigError) as caught:
            async with receiving(Sink(), http={"endpoint": address}):
                pass
    assert f"protocols.http.endpoint: {address} is in use" in str(caught.value)


async def test_what_is_in_flight_is_answered_before_it_stops() -> None:
    sink = Sink()
    sink.close()
    async with receiving(sink, grpc={}, http={}) as receiver, calling(receiver) as call:
        first = asyncio.ensure_future(call(traces(1)))
        second = asyncio.ensure_future(posting(receiver, "/v1/traces", bytes(traces(1).wire())))
        await reached(lambda: len(sink.tried) == 2)
        stopping = asyncio.ensure_future(receiver.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        sink.open()
        assert await first == b""
        assert (await second).status == 200
        await asyncio.wait_for(stopping, 5)
    assert len(sink.batches) == 2


async def test_what_never_reached_a_pipeline_is_counted() -> None:
    telemetry = Telemetry()
    async with receiving(Sink(), telemetry=telemetry, grpc={}, http={}) as receiver:
        await posting(receiver, "/v1/traces", b"\xff")
        admission().refuse("full")
        try:
            await posting(receiver, "/v1/traces", bytes(traces(1).wire()))
        finally:
            admission().refuse(None)
        name = "heliograph_receiver_turned_away_requests"
        for reason in ("invalid", "memory"):
            assert telemetry.value(name, receiver="otlp", transport="http", reason=reason) == 1
            assert telemetry.value(name, receiver="otlp", transport="grpc", reason=reason) == 0


async def test_stop_is_safe_without_start_and_twice() -> None:
    async with receiving(Sink(), grpc={}) as receiver:
        await receiver.stop()
    await receiver.stop()
    assert receiver.addresses == {}


async def test_only_signals_that_somebody_takes_are_taken() -> None:
    async with receiving(Sink(), signals=[Signal.TRACES], grpc={}, http={}) as receiver:
        assert (await posting(receiver, "/v1/logs", bytes(logs(1).wire()))).status == 404
        async with calling(receiver) as call:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(logs(1))
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            await call(traces(1))


def test_a_protocol_that_is_not_named_is_off() -> None:
    config = Config.model_validate({"protocols": {"grpc": None}})
    assert config.protocols.grpc is not None
    assert config.protocols.grpc.endpoint == "localhost:4317"
    assert config.protocols.http is None
    assert [str(problem) for problem in Config().check()] == [
        "protocols: names no protocol\n    fix: add 'grpc:', 'http:' or both"
    ]
    assert EXPORT[Signal.TRACES].endswith("TraceService/Export")


async def test_url_paths_can_be_changed() -> None:
    sink = Sink()
    async with receiving(sink, http={"traces_url_path": "in/traces"}) as receiver:
        body = bytes(traces(1).wire())
        assert (await posting(receiver, "/in/traces", body)).status == 200
        assert (await posting(receiver, "/v1/traces", body)).status == 404
