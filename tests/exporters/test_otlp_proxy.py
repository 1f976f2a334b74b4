"""Proxies between the otlp exporters and their endpoints."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
import trustme
from backends import GrpcBackend, HttpBackend
from bench import Bench

from heliograph.errors import ConfigError, Retry
from heliograph.testing import traces


class Proxy:
    """Takes CONNECT, and leads everything to one port of this machine."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.target = 0
        self.status = "200 Connection established"
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        await asyncio.sleep(0)  # what was just accepted is a task one turn later
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            there, here = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.append(here)
            if head.startswith(b"CONNECT"):
                writer.write(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
            else:
                here.write(head)
            if self.status.startswith("200"):
                await asyncio.gather(pump(reader, here), pump(there, writer))
            here.close()
        writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    proxy = Proxy()
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
def grpc_backend() -> Iterator[GrpcBackend]:
    backend = GrpcBackend()
    yield backend
    backend.stop()


@pytest.fixture
def http_backend() -> Iterator[HttpBackend]:
    backend = HttpBackend()
    yield backend
    backend.stop()


async def test_grpc_goes_through_https_proxy_by_name(
    bench: Bench, proxy: Proxy, grpc_backend: GrpcBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.target = grpc_backend.port
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")
    exporter = await bench.grpc("tempo.invalid:4317")
    await exporter.consume(traces(1))
    await exporter.consume(traces(1))
    [head] = proxy.heads
    assert head.startswith("CONNECT tempo.invalid:4317 HTTP/1.1\r\nHost: tempo.invalid:4317\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in head


@pytest.mark.parametrize("exempt", ["loopback", "NO_PROXY"])
async def test_who_needs_no_proxy(
    bench: Bench,
    proxy: Proxy,
    grpc_backend: GrpcBackend,
    monkeypatch: pytest.MonkeyPatch,
    exempt: str,
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    if exempt == "loopback":
        exporter = await bench.grpc(f"127.0.0.1:{grpc_backend.port}")
        await exporter.consume(traces(1))
    else:
        monkeypatch.setenv("NO_PROXY", "example.com,.invalid")
        exporter = await bench.grpc("tempo.invalid:4317")
        with pytest.raises(Retry, match="cannot find"):
            await exporter.consume(traces(1))
    assert proxy.heads == []


async def test_a_proxy_that_refuses(
    bench: Bench, proxy: Proxy, grpc_backend: GrpcBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.target = grpc_backend.port
    proxy.status = "407 Proxy Authentication Required"
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    exporter = await bench.grpc("tempo.invalid:4317")
    says = r"UNAVAILABLE: proxy 127\.0\.0\.1 refuses: 407 Proxy Authentication Required$"
    with pytest.raises(Retry, match=says):
        await exporter.consume(traces(1))


async def test_http_goes_through_a_written_proxy_as_it_is(
    bench: Bench, proxy: Proxy, http_backend: HttpBackend
) -> None:
    proxy.target = http_backend.port
    exporter = await bench.http(
        endpoint="http://127.0.0.1:1", proxy_url=f"http://user:pass@127.0.0.1:{proxy.port}"
    )
    await exporter.consume(traces(1))
    [head] = proxy.heads
    assert head.startswith("POST http://127.0.0.1:1/v1/traces HTTP/1.1\r\n")
    assert "proxy-authorization: Basic dXNlcjpwYXNz\r\n" in head.replace("Proxy-A", "proxy-a")
    assert len(http_backend.received) == 1


async def test_https_goes_through_a_tunnel(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("tempo.invalid").configure_cert(context)
    backend = HttpBackend(wrap=lambda socket: context.wrap_socket(socket, server_side=True))
    try:
        proxy.target = backend.port
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        exporter = await bench.http(
            endpoint="https://tempo.invalid", tls={"ca_pem": authority.cert_pem.bytes().decode()}
        )
        await exporter.consume(traces(1))
        assert proxy.heads[0].startswith("CONNECT tempo.invalid:443 HTTP/1.1\r\n")
        assert len(backend.received) == 1
    finally:
        backend.stop()


async def test_what_is_no_proxy(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"^proxy_url: is not a URL such as"):
        await bench.http(endpoint="http://127.0.0.1:1", proxy_url="socks5://proxy:1080")
