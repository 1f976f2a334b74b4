"""Requests that requests, urllib3 and httpx send: one span and one measurement each."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from .conftest import Recorded, attributes


class Server:
    """Answers on loopback, and keeps what it was sent."""

    def __init__(self) -> None:
        seen: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.append({name.lower(): value for name, value in self.headers.items()})
                if self.path.startswith("/away"):
                    self.send_response(302)
                    self.send_header("Location", "/there")
                else:
                    self.send_response(404 if self.path == "/nope" else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.seen = seen
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def get_requests(url: str) -> None:
    with import_module("requests").Session() as session:
        session.get(url)


def get_urllib3(url: str) -> None:
    with import_module("urllib3").PoolManager(retries=False) as pool:
        pool.request("GET", url)


def get_httpx(url: str) -> None:
    with import_module("httpx").Client() as client:
        client.get(url)


def get_httpx_async(url: str) -> None:
    async def main() -> None:
        async with import_module("httpx").AsyncClient() as client:
            await client.get(url)

    asyncio.run(main())


CLIENTS = {
    "requests": ("requests", get_requests),
    "urllib3": ("urllib3", get_urllib3),
    "httpx": ("httpx", get_httpx),
    "httpx async": ("httpx", get_httpx_async),
}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, recorded: Recorded) -> Any:
    library, get = CLIENTS[request.param]
    recorded.instrument(library, pytest.importorskip(library))
    return get


def test_a_request_is_one_span_and_carries_it(
    recorded: Recorded, server: Server, client: Any
) -> None:
    client(f"{server.url}/there?x=1&sig=abc")
    (span,) = recorded.spans()
    assert span.name == "GET"
    assert span.kind is SpanKind.CLIENT
    assert attributes(span) == {
        "http.request.method": "GET",
        "url.full": f"{server.url}/there?x=1&sig=REDACTED",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    _, trace_id, span_id, _ = server.seen[0]["traceparent"].split("-")
    assert int(trace_id, 16) == span.context.trace_id
    assert int(span_id, 16) == span.context.span_id
    ((labels, point),) = recorded.points("http.client.request.duration")
    assert labels == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    assert point.exemplars[0].span_id == span.context.span_id
    assert not trace.get_current_span().get_span_context().is_valid


def test_errors_are_said(recorded: Recorded, server: Server, client: Any) -> None:
    client(f"{server.url}/nope")
    (span,) = recorded.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "404"
    server.close()
    with pytest.raises(Exception, match=r"refused|failed|closed|disconnected"):
        client(f"{server.url}/there")
    (span,) = recorded.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "Err" in attributes(span)["error.type"]
    assert [event.name for event in span.events] == ["exception"]


def test_requests_has_one_span_though_urllib3_is_instrumented(
    recorded: Recorded, server: Server
) -> None:
    recorded.instrument("urllib3", pytest.importorskip("urllib3"))
    recorded.instrument("requests", pytest.importorskip("requests"))
    get_requests(f"{server.url}/away")
    (span,) = recorded.spans()
    assert span.instrumentation_scope.name == "heliograph.instrument.requests"
    assert len(server.seen) == 2


def test_excluded_urls(recorded: Recorded, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "there")
    recorded.instrument("requests", pytest.importorskip("requests"))
    get_requests(f"{server.url}/there")
    assert recorded.spans() == []
    assert "traceparent" not in server.seen[0]
