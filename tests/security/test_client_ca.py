"""A new authority for client certificates, while servers run: who comes in, and who no longer."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
from serving import receiving

from heliograph.pipeline.component import Kind, SystemClock
from heliograph.pipeline.http import Request, Response
from heliograph.pipeline.net import HttpServer, TlsServer
from heliograph.pipeline.pages import Pages
from heliograph.testing import FakeClock, Sink, settings

GET = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"


class Authorities:
    """Who signed the server's certificate, and the file that says who may sign a client's."""

    def __init__(self, folder: Path) -> None:
        self.server = trustme.CA()
        self.old, self.new = trustme.CA(), trustme.CA()
        self.clients = folder / "clients.pem"
        self.trust(self.old)
        shown = self.server.issue_cert("127.0.0.1")
        shown.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        self.tls = {
            "cert_file": str(folder / "server.pem"),
            "key_file": str(folder / "server.pem"),
            "client_ca_file": str(self.clients),
        }

    def trust(self, *authorities: trustme.CA) -> None:
        self.write(b"".join(authority.cert_pem.bytes() for authority in authorities))

    def write(self, text: bytes) -> None:
        fresh = self.clients.with_suffix(".new")
        fresh.write_bytes(text)
        os.replace(fresh, self.clients)

    def knock(
        self,
        port: int,
        signer: trustme.CA,
        said: bytes,
        version: ssl.TLSVersion,
    ) -> bool:
        """Whether a client with a certificate of the signer gets an answer."""
        context = ssl.create_default_context()
        self.server.configure_trust(context)
        signer.issue_cert("client@example.com").configure_cert(context)
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
                    client.sendall(said)
                    return bool(client.recv(100))
            except (ssl.SSLError, ConnectionError):
                return False


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when the condition holds; fail when it does not hold in time."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    return Authorities(tmp_path)


async def page(request: Request) -> Response:
    return Response(body=b"hello")


@asynccontextmanager
async def serving(server: str, tls: dict[str, str]) -> AsyncIterator[int]:
    """Run a server of one of the three kinds that looks at its files every 20 ms; give its port."""
    tls = {**tls, "reload_interval": "20ms"}
    if server == "pages":
        config = HttpServer.model_validate({"endpoint": "127.0.0.1:0", "tls": tls})
        pages = Pages(config, settings("pages", Kind.EXTENSION, clock=SystemClock()), page)
        await pages.start()
        try:
            yield pages.port
        finally:
            await pages.stop()
    else:
        async with receiving(Sink(), **{server: {"tls": tls}}) as receiver:
            yield int(receiver.addresses[server].rpartition(":")[2])


@pytest.mark.parametrize("server", ["http", "grpc", "pages"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
async def test_a_new_authority_counts_while_the_server_runs(
    authorities: Authorities, server: str, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    said = PREFACE if server == "grpc" else GET
    async with serving(server, authorities.tls) as port:

        async def enters(signer: trustme.CA) -> bool:
            return await asyncio.to_thread(authorities.knock, port, signer, said, version)

        assert await enters(authorities.old)
        assert not await enters(authorities.new)

        authorities.trust(authorities.new)
        await until(lambda: enters(authorities.new))
        assert not await enters(authorities.old)

        authorities.write(b"half a certif")
        while "clients.pem" not in caplog.text:
            assert await enters(authorities.new)
            await asyncio.sleep(0.02)
        assert "old" in caplog.text
        assert not await enters(authorities.old)

        authorities.trust(authorities.old, authorities.new)
        await until(lambda: enters(authorities.old))
        assert await enters(authorities.new)


async def test_without_an_interval_pages_look_every_ten_seconds(authorities: Authorities) -> None:
    clock = FakeClock()
    tls = {**authorities.tls, "client_ca_file_reload": True}
    config = HttpServer.model_validate({"endpoint": "127.0.0.1:0", "tls": tls})
    pages = Pages(config, settings("pages", Kind.EXTENSION, clock=clock), page)
    await pages.start()

    async def enters(signer: trustme.CA) -> bool:
        version = ssl.TLSVersion.TLSv1_3
        return await asyncio.to_thread(authorities.knock, pages.port, signer, GET, version)

    authorities.trust(authorities.new)
    await clock.advance(9.9)
    assert not await enters(authorities.new)
    await clock.advance(0.2)
    await until(lambda: enters(authorities.new))
    await pages.stop()


async def test_a_session_of_the_old_authority_is_worth_nothing(authorities: Authorities) -> None:
    """TLS 1.2 and 1.3 let a client come back without showing its certificate again."""
    context = ssl.create_default_context()
    authorities.server.configure_trust(context)
    authorities.old.issue_cert("client@example.com").configure_cert(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def visit(port: int, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as client,
        ):
            client.sendall(GET)
            assert client.recv(100)
            return bool(client.session_reused), client.session

    async def revisit(port: int, session: ssl.SSLSession | None) -> bool:
        await asyncio.to_thread(visit, port, session)
        return False

    for server in ("pages", "http"):
        authorities.trust(authorities.old)
        async with serving(server, authorities.tls) as port:
            _, session = await asyncio.to_thread(visit, port, None)
            if server == "pages":  # the native server forgets sessions whenever it reads its files
                reused, session = await asyncio.to_thread(visit, port, session)
                assert reused
            authorities.trust(authorities.new)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await until(partial(revisit, port, session))


def test_both_servers_read_as_often() -> None:
    files = {"cert_file": "a", "key_file": "b", "client_ca_file": "c"}
    for written, every in (
        ({}, None),
        ({"client_ca_file_reload": True}, 10.0),
        ({"client_ca_file_reload": True, "reload_interval": "3s"}, 3.0),
        ({"reload_interval": "3s"}, 3.0),
    ):
        tls = TlsServer.model_validate({**files, **written})
        assert (tls.reload_every, tls.settings()["reload_interval"]) == (every, every)


async def test_a_renewed_unix_socket_keeps_its_path(
    authorities: Authorities, tmp_path: Path
) -> None:
    tls = {**authorities.tls, "reload_interval": "20ms"}
    tls.pop("client_ca_file")
    path = tmp_path / "pages.sock"
    config = HttpServer.model_validate({"endpoint": str(path), "transport": "unix", "tls": tls})
    pages = Pages(config, settings("pages", Kind.EXTENSION, clock=SystemClock()), page)
    await pages.start()
    shown = authorities.server.issue_cert("127.0.0.1")

    async def changed() -> bool:
        return await serial() != first

    async def serial() -> Any:
        context = ssl.create_default_context()
        authorities.server.configure_trust(context)
        reader, writer = await asyncio.open_unix_connection(
            path, ssl=context, server_hostname="127.0.0.1"
        )
        writer.write(GET)
        assert b"hello" in await reader.read()
        found = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        return found

    first = await serial()
    shown.private_key_and_cert_chain_pem.write_to_path(authorities.tls["cert_file"])
    await until(changed)
    await pages.stop()
