"""TLS of the OTLP servers: certificates, client certificates, versions, renewal."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from pathlib import Path

import grpc
import pytest
import trustme
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from serving import caller, reached, receiving

from heliograph.errors import ConfigError
from heliograph.pipeline.net import TlsServer
from heliograph.receivers.otlp import Receiver
from heliograph.testing import Sink, traces

BODY = bytes(traces(3).wire())


class Certificates:
    """An authority, and what the server shows, as files."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.authority.cert_pem.write_to_path(str(self.ca))
        self.renew()
        self.server = {"cert_file": str(self.cert), "key_file": str(self.key)}

    def renew(self) -> None:
        shown = self.authority.issue_cert("localhost", "127.0.0.1")
        shown.cert_chain_pems[0].write_to_path(str(self.cert))
        shown.private_key_pem.write_to_path(str(self.key))

    def client(self, signed_by: trustme.CA | None = None) -> ssl.SSLContext:
        """A context that trusts the server, with a client certificate if somebody signs it."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if signed_by is not None:
            signed_by.issue_cert("client@example.com").configure_cert(context)
        return context


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def connected(
    receiver: Receiver, context: ssl.SSLContext, protocol: str = "http"
) -> ssl.SSLSocket:
    return await asyncio.to_thread(connect, receiver.addresses[protocol], context)


def connect(address: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    host, _, port = address.rpartition(":")
    plain = socket.create_connection((host, int(port)), timeout=20)
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise


def connect_and_post(address: str, context: ssl.SSLContext) -> bytes:
    return post(connect(address, context))


def post(client: ssl.SSLSocket) -> bytes:
    head = (
        "POST /v1/traces HTTP/1.1\r\nhost: test\r\nconnection: close\r\n"
        f"content-type: application/x-protobuf\r\ncontent-length: {len(BODY)}\r\n\r\n"
    )
    with client:
        client.sendall(head.encode() + BODY)
        text = b""
        while chunk := client.recv(4096):
            text += chunk
        return text


async def test_the_sdk_over_tls(certificates: Certificates) -> None:
    sink = Sink()
    async with receiving(sink, grpc={"tls": certificates.server}) as receiver:
        exporter = OTLPSpanExporter(
            endpoint=f"https://{receiver.addresses['grpc']}",
            credentials=grpc.ssl_channel_credentials(certificates.ca.read_bytes()),
        )
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        await asyncio.to_thread(provider.get_tracer("test").start_span("a span").end)
        await asyncio.to_thread(provider.shutdown)
    assert sink.items == 1


async def test_http_over_tls_from_pem_text(certificates: Certificates) -> None:
    sink = Sink()
    tls = {
        "cert_pem": certificates.cert.read_text(),
        "key_pem": certificates.key.read_text(),
    }
    async with receiving(sink, http={"tls": tls}) as receiver:
        client = await connected(receiver, certificates.client())
        assert (await asyncio.to_thread(post, client)).startswith(b"HTTP/1.1 200")
    assert sink.items == 3


async def test_the_protocol_is_agreed_on(certificates: Certificates) -> None:
    tls = {"tls": certificates.server}
    async with receiving(Sink(), grpc=tls, http=tls) as receiver:
        for protocol, offered, agreed in (
            ("http", ["h2", "http/1.1"], "h2"),
            ("http", ["http/1.1"], "http/1.1"),
            ("grpc", ["h2"], "h2"),
        ):
            context = certificates.client()
            context.set_alpn_protocols(offered)
            with await connected(receiver, context, protocol) as client:
                assert client.selected_alpn_protocol() == agreed


async def test_only_clients_of_the_right_authority_come_in(certificates: Certificates) -> None:
    sink = Sink()
    tls = {"tls": certificates.server | {"client_ca_file": str(certificates.ca)}}
    async with receiving(sink, grpc=tls, http=tls) as receiver:
        client = await connected(receiver, certificates.client(certificates.authority))
        assert (await asyncio.to_thread(post, client)).startswith(b"HTTP/1.1 200")
        for signer in (None, trustme.CA()):
            stranger = certificates.client(signer)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                # With TLS 1.3 a client learns only from its first read that it is not wanted.
                await asyncio.to_thread(connect_and_post, receiver.addresses["http"], stranger)
        mine = certificates.authority.issue_cert("client@example.com")
        credentials = grpc.ssl_channel_credentials(
            certificates.ca.read_bytes(),
            mine.private_key_pem.bytes(),
            mine.cert_chain_pems[0].bytes(),
        )
        target = receiver.addresses["grpc"]
        async with grpc.aio.secure_channel(target, credentials) as channel:
            await caller(channel)(traces(2))
    assert [batch.items for batch in sink.batches] == [3, 2]


async def test_versions_are_bounded(certificates: Certificates) -> None:
    for bound, version in (("min_version", "1.3"), ("max_version", "1.2")):
        tls = certificates.server | {bound: version}
        async with receiving(Sink(), http={"tls": tls}) as receiver:
            context = certificates.client()
            with await connected(receiver, context) as client:
                assert client.version() == f"TLSv{version}"
            if bound == "min_version":
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            else:
                context.minimum_version = ssl.TLSVersion.TLSv1_3
            with pytest.raises(ssl.SSLError):
                await connected(receiver, context)


async def test_a_renewed_certificate_is_shown_and_a_broken_one_is_not(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    tls = certificates.server | {"reload_interval": "50ms"}
    async with receiving(Sink(), http={"tls": tls}) as receiver:

        async def shown() -> bytes | None:
            with await connected(receiver, certificates.client()) as client:
                return client.getpeercert(binary_form=True)

        first = await shown()
        assert await shown() == first
        certificates.renew()
        end = time.monotonic() + 5
        while (second := await shown()) == first:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        certificates.key.write_text("half a key")
        await asyncio.sleep(0.1)
        assert await shown() == second
        await reached(lambda: "OTLP/http keeps its old certificates" in caplog.text)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cert_file": "/nowhere/cert.pem"}, "/nowhere/cert.pem: No such file"),
        ({"key_file": os.devnull}, f"{os.devnull}: "),
        ({"client_ca_file": os.devnull}, f"{os.devnull}: holds no certificate"),
        ({"cipher_suites": ["TLS_NULL"]}, "cipher_suites: none of them is supported"),
    ],
    ids=str,
)
async def test_what_cannot_be_used_is_named(
    certificates: Certificates, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        async with receiving(Sink(), http={"tls": certificates.server | changed}):
            pass
    assert str(caught.value).startswith("protocols.http.tls: ")
    assert said in str(caught.value)


async def test_cipher_suites_by_their_names(certificates: Certificates) -> None:
    suites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"]
    tls = certificates.server | {"cipher_suites": suites}
    async with receiving(Sink(), http={"tls": tls}) as receiver:
        with await connected(receiver, certificates.client()) as client:
            assert client.cipher() is not None
            assert client.cipher()[0] == "TLS_AES_256_GCM_SHA384"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({}, "cert_file"),
        ({"cert_file": "a"}, "key_file"),
        ({"key_pem": "a"}, "cert_file"),
        ({"cert_file": "a", "cert_pem": "b", "key_file": "c"}, "cert_pem"),
        (
            {"cert_file": "a", "key_file": "b", "min_version": "1.3", "max_version": "1.2"},
            "max_version",
        ),
    ],
)
def test_what_does_not_fit_together_is_a_problem(written: dict[str, str], path: str) -> None:
    problems = list(TlsServer.model_validate(written).check())
    assert path in [problem.path for problem in problems]
