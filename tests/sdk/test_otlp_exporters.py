"""What the OTLP exporters of spans are told, and what they do when the other side will not."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from exporters.backends import Answer, GrpcBackend, HttpBackend

from heliograph.sdk.exporter.otlp._settings import grpc_settings, http_settings, read_headers
from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from heliograph.sdk.exporter.otlp.proto.http import Compression
from heliograph.sdk.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from sdk.programs import names


def send(exporter: Any, *, simple: bool = False) -> bool:
    provider = TracerProvider(shutdown_on_exit=False)
    processor = SimpleSpanProcessor(exporter) if simple else BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    provider.get_tracer("t").start_span("one").end()
    done = provider.force_flush(10_000)
    provider.shutdown()
    return done


@pytest.mark.parametrize("simple", [False, True])
def test_http_sends_what_grpc_sends(http: HttpBackend, rpc: GrpcBackend, simple: bool) -> None:
    assert send(Http(endpoint=f"http://127.0.0.1:{http.port}/v1/traces"), simple=simple)
    assert send(Grpc(f"127.0.0.1:{rpc.port}", insecure=True), simple=simple)
    assert names(http.received) == names(rpc.received) == ["one"]
    (request,) = http.received
    assert request.path == "/v1/traces"
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["user-agent"].startswith("heliograph-sdk-python/")


def test_headers_and_compression_arrive(http: HttpBackend) -> None:
    endpoint = f"http://127.0.0.1:{http.port}/v1/traces"
    assert send(Http(endpoint, headers={"X-Token": "t"}, compression=Compression.Gzip))
    (request,) = http.received
    assert request.headers["x-token"] == "t"
    assert request.headers["content-encoding"] == "gzip"


def test_a_large_batch_goes_as_several_requests(http: HttpBackend) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    endpoint = f"http://127.0.0.1:{http.port}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(Http(endpoint, max_request_size=2000)))
    for number in range(100):
        provider.get_tracer("t").start_span(f"{number:03}").end()
    provider.shutdown()
    assert names(http.received) == [f"{number:03}" for number in range(100)]
    assert len(http.received) > 3
    assert max(len(request.body) for request in http.received) <= 2000


def test_tls_trusts_the_authority_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    backend = HttpBackend(wrap=lambda socket: context.wrap_socket(socket, server_side=True))
    endpoint = f"https://localhost:{backend.port}/v1/traces"
    try:
        assert not send(Http(endpoint, timeout=1))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.pem"))
        assert send(Http(endpoint))
    finally:
        backend.stop()
    assert names(backend.received) == ["one"]


def test_it_tries_again_when_asked_to(http: HttpBackend) -> None:
    answers = [Answer(503, {"retry-after": "0"}), Answer(429, {"retry-after": "0"}), Answer()]
    http.answer = lambda request: answers.pop(0)
    assert send(Http(f"http://127.0.0.1:{http.port}/v1/traces"))
    assert len(http.received) == 3


def test_a_rejection_is_final_and_said_once(
    rpc: GrpcBackend, caplog: pytest.LogCaptureFixture
) -> None:
    rpc.answer = lambda context: context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not like this")
    exporter = Grpc(f"http://127.0.0.1:{rpc.port}")
    assert not send(exporter)
    assert not send(exporter)
    said = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert "not like this" in said[0]
    assert len(rpc.received) == 1


def test_a_partial_success_is_said(rpc: GrpcBackend, caplog: pytest.LogCaptureFixture) -> None:
    rpc.answer = lambda context: b"\x0a\x06\x08\x01\x12\x02no"
    assert send(Grpc(f"http://127.0.0.1:{rpc.port}"))
    assert "all but 1 of 1 items: no" in caplog.text


def test_an_endpoint_that_is_none_is_said_and_raises_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not send(Http(endpoint="nowhere"))
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL such as http://host:4318" in caplog.text


def test_a_certificate_that_is_not_there_is_said_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere")
    assert not send(Grpc("https://127.0.0.1:1"))
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE is /nowhere, which cannot be read" in caplog.text


def test_the_signal_wins_over_all_signals_and_arguments_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/base/")
    assert http_settings("traces").where == "http://all:4318/base/v1/traces"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/own")
    assert http_settings("traces").where == "http://traces:4318/own"
    assert http_settings("logs").where == "http://all:4318/base/v1/logs"
    assert http_settings("traces", endpoint="http://given/x").where == "http://given/x"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3.5")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    settings = grpc_settings("traces")
    assert settings.timeout == 3.5
    assert settings.native["compression"] == "gzip"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3.5", 3.5), ("999", 999), ("1000", 1), ("10000", 10), ("0", 2147483.647), ("-1", 10)],
)
def test_a_time_out_is_seconds_or_from_1000_on_milliseconds(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", text)
    assert http_settings("logs").timeout == grpc_settings("logs").timeout == seconds
    assert http_settings("logs", timeout=2000).timeout == 2000


@pytest.mark.parametrize(
    ("endpoint", "insecure", "bare", "secure"),
    [
        ("http://host:4317", None, "host:4317", False),
        ("https://host:4317/ignored", True, "host:4317", True),
        ("host:4317", None, "host:4317", True),
        ("host:4317", True, "host:4317", False),
    ],
)
def test_the_scheme_decides_about_tls(
    endpoint: str, insecure: bool | None, bare: str, secure: bool
) -> None:
    settings = grpc_settings("traces", endpoint=endpoint, insecure=insecure)
    assert settings.where == bare
    assert (settings.native["tls"] is not None) is secure


def test_headers_are_read_from_text_pairs_and_mappings() -> None:
    expected = [("a", "1"), ("b", "x y")]
    assert read_headers("A=1, b=x%20y") == expected
    assert read_headers({"A": "1", "b": "x y"}) == expected
    assert read_headers([("a", "1"), ("b", "x y")]) == expected
    assert read_headers(None) == []
