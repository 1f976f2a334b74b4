"""What the OTLP exporters do when the other side is slow, full, strict or far away."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import trustme
from exporters.backends import Answer, GrpcBackend, HttpBackend, Received
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from heliograph._core import encode_spans
from heliograph.sdk.exporter.otlp._exchange import Export, Request
from heliograph.sdk.exporter.otlp._settings import grpc_settings
from heliograph.sdk.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as Json
from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from heliograph.sdk.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from sdk.programs import names


def export(
    exporter: Any, spans: int = 1, *, batch: int = 512, attributes: dict[str, Any] | None = None
) -> bool:
    """Record spans, export them in batches; return whether all of them were taken."""
    provider = TracerProvider(shutdown_on_exit=False)
    processor = BatchSpanProcessor(exporter, max_export_batch_size=batch)
    provider.add_span_processor(processor)
    tracer, failed = provider.get_tracer("t"), exporter.failed
    for number in range(spans):
        tracer.start_span(f"{number:04}", attributes=attributes).end()
    return processor.force_flush(20_000) and exporter.failed == failed


def numbers(count: int) -> list[str]:
    return [f"{number:04}" for number in range(count)]


class Together:
    """Answers when so many requests are there at once, or after a time."""

    def __init__(self, width: int, patience: float = 5) -> None:
        self.most = self._now = 0
        self._width, self._patience = width, patience
        self._changed = threading.Condition()
        self._is_full = False

    def __call__(self, request: Received) -> Answer:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._is_full = self._is_full or self._now >= self._width
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_full, self._patience)
        with self._changed:
            self._now -= 1
        return Answer()


def test_several_requests_are_on_their_way_and_no_more_than_allowed(http: HttpBackend) -> None:
    exporter = Http(f"http://127.0.0.1:{http.port}/", max_concurrent_requests=4)
    assert export(exporter), "until the first is taken, there is one"
    http.answer = together = Together(4)
    assert export(exporter, 64, batch=8)
    assert together.most == 4
    assert len(http.received) == 9
    assert exporter.exported == 65


def test_one_request_alone_asks_whether_an_endpoint_is_back(http: HttpBackend) -> None:
    exporter = Http(f"http://127.0.0.1:{http.port}/", timeout=0.3)
    together = Together(2, patience=0.05)

    def answer(request: Received) -> Answer:
        together(request)
        return Answer(503, {"retry-after": "9"})

    http.answer = answer
    assert not export(exporter, 40, batch=8)
    assert (together.most, exporter.failed, exporter.exported) == (1, 40, 0)


def test_after_a_failure_the_next_request_goes_alone(http: HttpBackend) -> None:
    exporter = Http(f"http://127.0.0.1:{http.port}/", timeout=0.3, max_concurrent_requests=2)
    assert export(exporter)
    lock = threading.Lock()
    now: list[Received] = []
    at_once: list[int] = []

    def answer(request: Received) -> Answer:
        with lock:
            now.append(request)
            at_once.append(len(now))
        time.sleep(0.05)
        with lock:
            now.remove(request)
        return Answer(503, {"retry-after": "9"})

    http.answer = answer
    assert not export(exporter, 40, batch=8)
    assert at_once == [1, 2, 1, 1, 1]


def test_a_delay_of_zero_is_a_delay(http: HttpBackend) -> None:
    answers = [Answer(503, {"retry-after": "0"}), Answer(503, {"retry-after": "0"})]
    http.answer = lambda request: answers.pop() if answers else Answer()
    began = time.monotonic()
    assert export(Http(f"http://127.0.0.1:{http.port}/"))
    assert time.monotonic() - began < 0.7, "without a delay the first pause is 0.8 s or more"


def test_retry_info_makes_an_exhausted_resource_worth_another_attempt(rpc: GrpcBackend) -> None:
    info = AnyMessage()
    info.Pack(RetryInfo(retry_delay=Duration(nanos=300_000_000)))
    times: list[float] = []

    def answer(context: grpc.ServicerContext) -> bytes:
        times.append(time.monotonic())
        if len(times) == 1:
            status = Status(code=8, message="later", details=[info])
            details = ("grpc-status-details-bin", status.SerializeToString())
            context.set_trailing_metadata((details,))
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
        return b""

    rpc.answer = answer
    assert export(Grpc(f"http://127.0.0.1:{rpc.port}"))
    assert 0.3 <= times[1] - times[0] < 0.8


@pytest.mark.parametrize(
    ("outcome", "chance", "due"),
    [
        ({"retryable": True}, 0.0, 100.8),
        ({"retryable": True}, 0.999, 101.2),
        ({"retryable": True, "retry_after": 3.0}, 0.0, 103.0),
        ({"retryable": True, "retry_after": 3.0}, 0.999, 103.6),
        ({"retryable": True, "retry_after": 0.0}, 0.5, 100.0),
        ({"retryable": True, "retry_after": 30.0}, 0.0, None),
        ({"retryable": False}, 0.0, None),
    ],
)
def test_when_the_next_attempt_is_due(
    outcome: dict[str, Any], chance: float, due: float | None
) -> None:
    batch: Any = SimpleNamespace(items=1, nbytes=100)
    request = Request(Export(batch, end=110.0), batch, due=0.0)
    said: Any = SimpleNamespace(**{"retry_after": None, "status": 0, "code": 14, **outcome})
    follow = request.after(said, 100.0, chance)
    assert [round(one.due, 1) for one in follow] == ([] if due is None else [due])


def test_pauses_double_and_haste_wears_off() -> None:
    batch: Any = SimpleNamespace(items=1, nbytes=100)
    busy: Any = SimpleNamespace(retryable=True, retry_after=None, status=503, code=14)
    request = Request(Export(batch, end=1000.0), batch, due=0.0)
    waits = []
    for _ in range(7):
        request.after(busy, 0.0, 0.5)
        waits.append(request.due)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    busy.retry_after = 0.0
    request.after(busy, 0.0, 0.5)
    assert request.due == pytest.approx(0.35)


def test_a_request_that_is_too_large_goes_as_smaller_ones(http: HttpBackend) -> None:
    http.answer = lambda request: Answer(413 if len(request.body) > 2000 else 200)
    exporter = Http(f"http://127.0.0.1:{http.port}/")
    assert export(exporter, 100)
    taken = [request for request in http.received if len(request.body) <= 2000]
    assert names(taken) == numbers(100)
    assert (exporter.exported, exporter.failed) == (100, 0)


def test_a_server_of_grpc_that_takes_little_gets_smaller_requests() -> None:
    backend = GrpcBackend(options=(("grpc.max_receive_message_length", 20_000),))
    try:
        exporter = Grpc(f"http://127.0.0.1:{backend.port}")
        assert export(exporter, 256, attributes={"text": "x" * 200})
    finally:
        backend.stop()
    assert names(backend.received) == numbers(256)


def test_what_cannot_be_made_smaller_is_given_up(
    http: HttpBackend, caplog: pytest.LogCaptureFixture
) -> None:
    http.answer = lambda request: Answer(413)
    exporter = Http(f"http://127.0.0.1:{http.port}/")
    assert not export(exporter, 4)
    assert exporter.failed == 4
    assert len(http.received) == 7, "4, 2, 1, 1, 2, 1, 1"
    assert caplog.text.count("could not be exported") == 1


def test_an_exhausted_resource_that_is_no_size_is_final(rpc: GrpcBackend) -> None:
    rpc.answer = lambda context: context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no quota")
    assert not export(Grpc(f"http://127.0.0.1:{rpc.port}"), 4)
    assert len(rpc.received) == 1


@pytest.mark.parametrize("kind", [Grpc, Http, Json])
def test_no_request_is_larger_than_said(kind: Any, http: HttpBackend, rpc: GrpcBackend) -> None:
    backend: Any = rpc if kind is Grpc else http
    exporter = kind(f"http://127.0.0.1:{backend.port}/", max_request_size=2000)
    assert export(exporter, 100)
    assert len(backend.received) > 3
    assert max(len(request.body) for request in backend.received) <= 2000
    assert exporter.exported == 100
    if kind is not Json:
        assert names(backend.received) == numbers(100)


@pytest.mark.parametrize("name", ["max_request_size", "max_concurrent_requests"])
def test_bounds_are_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0, not positive"):
        Http(**{name: 0})  # type: ignore[arg-type]


PARTIAL = {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "no"}}
WIRE = b"\x0a\x06\x08\x01\x12\x02no"


@pytest.mark.parametrize(
    ("kind", "body", "rejected"),
    [
        ("application/x-protobuf", WIRE, 1),
        ("application/json", json.dumps(PARTIAL).encode(), 1),
        ("application/json", b"{}", 0),
        ("application/json", b'{"partialSuccess": 5}', 0),
        ("application/json", b"thanks", 0),
        # More than the client reads.
        ("application/json", json.dumps(PARTIAL).encode() + b" " * (5 << 20), 0),
    ],
)
def test_a_partial_success_is_counted_and_said_once(
    http: HttpBackend, caplog: pytest.LogCaptureFixture, kind: str, body: bytes, rejected: int
) -> None:
    http.answer = lambda request: Answer(200, {"content-type": kind}, body)
    exporter = Http(f"http://127.0.0.1:{http.port}/", max_concurrent_requests=1)
    for _ in range(3):
        assert export(exporter, 2)
    assert (exporter.exported, exporter.rejected) == (6 - 3 * rejected, 3 * rejected)
    said = [line.message for line in caplog.records if line.levelno == logging.WARNING]
    assert len(said) == rejected
    assert all("all but 1 of 2 items: no" in line for line in said)


def slow(http: HttpBackend, gate: threading.Event) -> None:
    def answer(request: Received) -> Answer:
        gate.wait(10)
        return Answer()

    http.answer = answer


def test_an_endpoint_that_never_answers_takes_no_longer_than_the_time_out(
    http: HttpBackend,
) -> None:
    gate = threading.Event()
    slow(http, gate)
    exporter = Http(f"http://127.0.0.1:{http.port}/", timeout=0.3)
    began = time.monotonic()
    assert not export(exporter)
    assert 0.2 < time.monotonic() - began < 1
    gate.set()


def test_a_shut_down_ends_what_is_on_its_way(http: HttpBackend) -> None:
    gate = threading.Event()
    slow(http, gate)
    exporter = Http(f"http://127.0.0.1:{http.port}/")
    threading.Timer(0.2, exporter.shutdown).start()
    began = time.monotonic()
    assert not export(exporter)
    assert time.monotonic() - began < 2
    assert not export(exporter), "and nothing is sent any more"
    assert len(http.received) == 1
    gate.set()


def test_a_flush_answers_for_what_is_on_its_way(http: HttpBackend) -> None:
    gate, begun = threading.Event(), threading.Event()

    def answer(request: Received) -> Answer:
        begun.set()
        gate.wait(10)
        return Answer(400)

    http.answer = answer
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = Http(f"http://127.0.0.1:{http.port}/")
    processor = BatchSpanProcessor(exporter, max_export_batch_size=2)
    provider.add_span_processor(processor)
    for _ in range(2):
        provider.get_tracer("t").start_span("s").end()
    assert begun.wait(10)
    assert processor.waiting == 0
    threading.Timer(0.1, gate.set).start()
    assert not processor.force_flush()
    assert processor.force_flush(), "and not for what was lost before"


def test_a_flush_ends_however_much_is_recorded_meanwhile(http: HttpBackend) -> None:
    def answer(request: Received) -> Answer:
        time.sleep(0.01)
        return Answer()

    http.answer = answer
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = Http(f"http://127.0.0.1:{http.port}/")
    processor = BatchSpanProcessor(exporter, max_queue_bytes=1 << 20, when_full="block")
    provider.add_span_processor(processor)
    tracer, done = provider.get_tracer("t"), threading.Event()

    def record() -> None:
        while not done.is_set():
            tracer.start_span("s").end()

    thread = threading.Thread(target=record)
    thread.start()
    try:
        end = time.monotonic() + 10
        while len(http.received) < 20 and time.monotonic() < end:
            time.sleep(0.005)
        assert processor.force_flush(5000)
    finally:
        done.set()
        thread.join()
    provider.shutdown()
    assert processor.dropped == 0


def server_of_authority(tmp_path: Path) -> tuple[trustme.CA, Callable[[str], str]]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = authority.issue_cert("client")
    client.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    return authority, lambda name: str(tmp_path / f"{name}.pem")


def test_http_shows_a_client_certificate(tmp_path: Path) -> None:
    authority, file = server_of_authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(file("ca"))
    authority.issue_cert("localhost").configure_cert(context)
    backend = HttpBackend(wrap=lambda socket: context.wrap_socket(socket, server_side=True))
    endpoint = f"https://localhost:{backend.port}/v1/traces"
    try:
        assert not export(Http(endpoint, file("ca"), timeout=0.5))
        assert export(Http(endpoint, file("ca"), file("key"), file("cert")))
    finally:
        backend.stop()
    assert names(backend.received) == ["0000"]


def test_grpc_shows_the_client_certificate_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, file = server_of_authority(tmp_path)
    own = authority.issue_cert("localhost")
    pair = (own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes())
    credentials = grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), True)
    backend = GrpcBackend(credentials=credentials)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", file("ca"))
    try:
        assert not export(Grpc(f"https://localhost:{backend.port}", timeout=0.5))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", file("key"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file("cert"))
        assert export(Grpc(f"https://localhost:{backend.port}"))
    finally:
        backend.stop()
    assert names(backend.received) == ["0000"]


def test_grpc_over_a_unix_socket(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/otlp.sock"
    backend = GrpcBackend(address=address)
    try:
        assert export(Grpc(address))
    finally:
        backend.stop()
    assert names(backend.received) == ["0000"]


@pytest.mark.parametrize(
    ("variables", "secure"),
    [
        ({}, True),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "1"}, True),
        ({"OTEL_EXPORTER_OTLP_SPAN_INSECURE": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_METRIC_INSECURE": "true"}, True),
        (
            {"OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "false"},
            True,
        ),
    ],
)
def test_variables_say_whether_an_endpoint_without_a_scheme_is_secure(
    variables: dict[str, str], secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (grpc_settings("traces", endpoint="host:4317").native["tls"] is not None) is secure
    assert grpc_settings("traces", endpoint="https://host").native["tls"] is not None
    assert grpc_settings("traces", endpoint="http://host").native["tls"] is None


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("kind", [Http, Json])
def test_requests_are_packed(http: HttpBackend, coding: str, kind: Any) -> None:
    endpoint = f"http://127.0.0.1:{http.port}/"
    assert export(kind(endpoint, compression=coding), 50)
    assert export(kind(endpoint), 50)
    packed, plain = http.received
    assert packed.headers["content-encoding"] == coding
    assert "content-encoding" not in plain.headers
    assert len(packed.body) < 0.75 * len(plain.body)


def test_a_subclass_that_exports_in_its_own_way_is_asked(http: HttpBackend) -> None:
    class Selective(Http):
        def export(self, spans: Any) -> SpanExportResult:
            return super().export([span for span in spans if span.name != "0001"])

    assert export(Selective(f"http://127.0.0.1:{http.port}/"), 3)
    assert names(http.received) == ["0000", "0002"]


@pytest.mark.parametrize("kind", [Http, Grpc])
def test_a_user_agent_of_ones_own_is_the_only_one(
    kind: Any, http: HttpBackend, rpc: GrpcBackend
) -> None:
    backend: Any = http if kind is Http else rpc
    exporter = kind(f"http://127.0.0.1:{backend.port}/", headers={"User-Agent": "mine/1"})
    assert export(exporter)
    assert backend.received[0].headers["user-agent"] == "mine/1"
    assert grpc_settings("traces", headers="user-agent=mine/1,a=b").native["headers"] == [
        ("a", "b")
    ]


@pytest.mark.parametrize("coding", ["gzip", "none"])
def test_grpc_packs_what_a_real_server_unpacks(rpc: GrpcBackend, coding: str) -> None:
    assert export(Grpc(f"http://127.0.0.1:{rpc.port}", compression=coding), 50)
    assert names(rpc.received) == numbers(50)


def test_an_export_that_waits_for_another_gives_up_one_batch() -> None:
    exporter = Http("http://127.0.0.1:1/", timeout=0.1)
    batches = iter([encode_spans([]), encode_spans([]), encode_spans([])])
    with exporter._sender._lock:  # type: ignore[attr-defined]
        assert list(exporter.export_batches(batches, 5)) == [False]
    assert len(list(batches)) == 2
