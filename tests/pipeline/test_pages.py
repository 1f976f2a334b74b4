"""Pages with TLS, CORS and a Unix socket."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from heliograph.errors import ConfigError
from heliograph.pipeline.certificates import Certificates, openssl_name
from heliograph.pipeline.component import Kind
from heliograph.pipeline.http import Request, Response
from heliograph.pipeline.net import HttpServer, TlsServer
from heliograph.pipeline.pages import Pages
from heliograph.testing import settings


async def page(request: Request) -> Response:
    return Response(body=request.path.encode())


def pages(**config: Any) -> Pages:
    written = {"endpoint": "127.0.0.1:0", **config}
    return Pages(HttpServer.model_validate(written), settings("x", Kind.EXPORTER), page)


def certificate(folder: Path, name: str = "server") -> dict[str, str]:
    """Make a certificate for loopback, and the file of who signed it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(folder / f"{name}-ca.crt")
    return {"cert_file": str(cert), "key_file": str(key)}


def as_text(files: dict[str, str]) -> dict[str, str]:
    """Return what the files say, under the options for that."""
    return {key.replace("_file", "_pem"): Path(path).read_text() for key, path in files.items()}


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *headers: str
) -> tuple[str, bytes]:
    lines = ["GET /there HTTP/1.1", *headers, "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head.decode(), body


async def over_tls(port: int, ca: str) -> tuple[str, bytes]:
    context = ssl.create_default_context(cafile=ca)
    return await ask(*await asyncio.open_connection("127.0.0.1", port, ssl=context))


@pytest.mark.parametrize("inline", [False, True])
async def test_tls(tmp_path: Path, inline: bool) -> None:
    files = certificate(tmp_path)
    tls = {"min_version": "1.3", **(as_text(files) if inline else files)}
    served = pages(tls=tls)
    await served.start()
    _, body = await over_tls(served.port, str(tmp_path / "server-ca.crt"))
    await served.stop()
    assert body == b"/there"


def test_certificates_are_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = certificate(tmp_path)
    tls = TlsServer.model_validate(
        {**files, "reload_interval": "10s", "client_ca_file": str(tmp_path / "server-ca.crt")}
    )
    held = Certificates(tls)
    first = held.context
    assert (held.every, len(first.get_ca_certs())) == (10.0, 1)
    log = logging.getLogger("test")
    assert held.renewed(log) is None
    assert not caplog.records
    other = certificate(tmp_path, "other")
    os.replace(other["cert_file"], tmp_path / "server.crt")
    for _ in range(2):
        assert held.renewed(log) is None
    (record,) = caplog.records
    assert "the old ones stay: " in record.message
    assert f"{files['cert_file']} and {files['key_file']}" in record.message
    os.replace(other["key_file"], tmp_path / "server.key")
    assert held.renewed(log) not in (None, first)
    assert held.context is not first


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    files = certificate(tmp_path)
    key = serialization.load_pem_private_key(Path(files["key_file"]).read_bytes(), None)
    Path(files["key_file"]).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"sesame"),
        )
    )
    with pytest.raises(ConfigError, match=r"tls: cannot be set up: .*server\.key"):
        Certificates(TlsServer.model_validate(files))


def test_broken_files_are_a_configuration_error(tmp_path: Path) -> None:
    tls = {"cert_file": str(tmp_path / "no.crt"), "key_file": str(tmp_path / "no.key")}
    with pytest.raises(ConfigError, match="tls: cannot be set up"):
        Certificates(TlsServer.model_validate(tls))


@pytest.mark.parametrize(
    ("iana", "openssl"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ],
)
def test_cipher_suites(iana: str, openssl: str) -> None:
    assert openssl_name(iana) == openssl
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(openssl)


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "pages.sock"
    served = pages(endpoint=str(path), transport="unix")
    await served.start()
    _, body = await ask(*await asyncio.open_unix_connection(path))
    await served.stop()
    assert body == b"/there"


@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://a.example", True), ("https://b.test", False), ("", False)]
)
async def test_cors(origin: str, allowed: bool) -> None:
    served = pages(cors={"allowed_origins": ["https://*.example"], "exposed_headers": ["X-A"]})
    await served.start()
    connection = await asyncio.open_connection("127.0.0.1", served.port)
    head, _ = await ask(*connection, *([f"Origin: {origin}"] if origin else []))
    await served.stop()
    assert (f"Access-Control-Allow-Origin: {origin}" in head) == allowed
    assert ("Access-Control-Expose-Headers: X-A" in head) == allowed


async def test_connections_can_be_for_one_request() -> None:
    served = pages(keep_alives_enabled=False, response_headers={"X-B": "c"})
    await served.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    head = await reader.read()
    assert b"Connection: close" in head
    assert b"X-B: c" in head
    writer.close()
    await served.stop()
