"""A session of requests that a program gives to an exporter is what posts."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator

import pytest
import requests
from exporters.backends import Answer, HttpBackend

from heliograph.sdk.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as Json
from heliograph.sdk.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor
from sdk.programs import names


@pytest.fixture
def backend() -> Iterator[HttpBackend]:
    backend = HttpBackend()
    yield backend
    backend.stop()


def send(exporter: OTLPSpanExporter | Json) -> bool:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.get_tracer("t").start_span("one").end()
    done = provider.force_flush(10_000)
    provider.shutdown()
    return done


def test_its_authentication_and_the_exporters_headers_arrive(backend: HttpBackend) -> None:
    with requests.Session() as session:
        session.auth = ("user", "word")
        where = f"http://127.0.0.1:{backend.port}/v1/traces"
        assert send(OTLPSpanExporter(where, headers={"team": "x"}, session=session))
    assert names(backend.received) == ["one"]
    headers = backend.received[0].headers
    assert headers["authorization"] == "Basic dXNlcjp3b3Jk"
    assert (headers["team"], headers["content-type"]) == ("x", "application/x-protobuf")


def test_bodies_are_compressed_and_may_be_json(backend: HttpBackend) -> None:
    with requests.Session() as session:
        where = f"http://127.0.0.1:{backend.port}"
        assert send(Json(where, compression="gzip", session=session))
    (request,) = backend.received
    assert request.headers["content-type"] == "application/json"
    assert gzip.decompress(request.body).startswith(b'{"resourceSpans"')
    with pytest.raises(ValueError, match="cannot compress with zstd"):
        OTLPSpanExporter(where, compression="zstd", session=session)


def test_it_is_asked_again_as_the_other_side_says(backend: HttpBackend) -> None:
    backend.answer = lambda request: Answer(
        503 if len(backend.received) == 1 else 200, {"Retry-After": "0"}
    )
    with requests.Session() as session:
        assert send(OTLPSpanExporter(f"http://127.0.0.1:{backend.port}", session=session))
    assert names(backend.received) == ["one", "one"]


def test_what_it_raises_and_is_told_is_said(
    backend: HttpBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = lambda request: Answer(400, body=b"no such tenant")
    with requests.Session() as session, caplog.at_level(logging.ERROR):
        assert not send(OTLPSpanExporter(f"http://127.0.0.1:{backend.port}", session=session))
        assert not send(OTLPSpanExporter("http://127.0.0.1:1", timeout=0.5, session=session))
    assert "no such tenant" in caplog.messages[0]
    assert "ConnectionError" in caplog.messages[1]
