"""TLS of the otlp exporters: whom they trust, who they are, and what they say when it fails."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from backends import GrpcBackend, HttpBackend
from bench import Bench
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from h2backend import H2Backend

from heliograph.errors import ConfigError, Retry
from heliograph.pipeline.net_client import ClientTls
from heliograph.testing import traces


class Certificates:
    """Two authorities; the server's certificate is from ``authority``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.stranger = trustme.CA()
        self.server = self.authority.issue_cert("127.0.0.1", "tempo.internal")
        self.ca = self.write("ca.pem", self.authority)
        self.strange_ca = self.write("stranger.pem", self.stranger)

    def write(self, name: str, authority: trustme.CA) -> str:
        path = self.folder / name
        authority.cert_pem.write_to_path(str(path))
        return str(path)

    def identity(self, authority: trustme.CA) -> dict[str, str]:
        """The options of a client certificate."""
        shown = authority.issue_cert("client@example.com")
        cert, key = self.folder / "client.pem", self.folder / "client.key"
        for blob in shown.cert_chain_pems:
            blob.write_to_path(str(cert), append=cert.exists())
        shown.private_key_pem.write_to_path(str(key))
        return {"cert_file": str(cert), "key_file": str(key)}

    def credentials(self, *, mutual: bool = False) -> grpc.ServerCredentials:
        chain = b"".join(blob.bytes() for blob in self.server.cert_chain_pems)
        pair = (self.server.private_key_pem.bytes(), chain)
        roots = self.authority.cert_pem.bytes() if mutual else None
        return grpc.ssl_server_credentials([pair], roots, require_client_auth=mutual)

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.configure_cert(context)
        return context


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def backend(certificates: Certificates) -> Iterator[GrpcBackend]:
    backend = GrpcBackend(credentials=certificates.credentials())
    yield backend
    backend.stop()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:{}", "https://127.0.0.1:{}"])
async def test_a_named_authority_is_trusted(
    bench: Bench, backend: GrpcBackend, certificates: Certificates, endpoint: str
) -> None:
    exporter = await bench.grpc(endpoint.format(backend.port), tls={"ca_file": certificates.ca})
    await exporter.consume(traces(1))
    pem = certificates.authority.cert_pem.bytes().decode()
    exporter = await bench.grpc(endpoint.format(backend.port), tls={"ca_pem": pem})
    await exporter.consume(traces(1))
    assert len(backend.received) == 2


@pytest.mark.parametrize("tls", [{}, {"ca_file": "stranger"}, {"insecure": False}])
async def test_an_unknown_authority_is_not(
    bench: Bench, backend: GrpcBackend, certificates: Certificates, tls: dict[str, Any]
) -> None:
    if "ca_file" in tls:
        tls = {"ca_file": certificates.strange_ca}
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", tls=tls)
    with pytest.raises(Retry, match=r"signed by an unknown authority; name that in tls\.ca_file"):
        await exporter.consume(traces(1))


async def test_system_authorities_may_be_added_to_the_named_one(
    bench: Bench, backend: GrpcBackend, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca)
    tls = {"ca_file": certificates.strange_ca, "include_system_ca_certs_pool": True}
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", tls=tls)
    await exporter.consume(traces(1))


async def test_verification_can_be_left_out(bench: Bench, backend: GrpcBackend) -> None:
    tls = {"insecure_skip_verify": True}
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", tls=tls)
    await exporter.consume(traces(1))


async def test_the_name_must_fit_and_can_be_overridden(
    bench: Bench, backend: GrpcBackend, certificates: Certificates
) -> None:
    endpoint = f"localhost:{backend.port}"
    exporter = await bench.grpc(endpoint, tls={"ca_file": certificates.ca})
    with pytest.raises(Retry, match=r"UNAVAILABLE: TLS: .*not valid for name"):
        await exporter.consume(traces(1))
    tls = {"ca_file": certificates.ca, "server_name_override": "tempo.internal"}
    exporter = await bench.grpc(endpoint, tls=tls)
    await exporter.consume(traces(1))


async def test_mutual_tls(bench: Bench, certificates: Certificates) -> None:
    backend = GrpcBackend(credentials=certificates.credentials(mutual=True))
    try:
        trusting = {"ca_file": certificates.ca}
        known = {**trusting, **certificates.identity(certificates.authority)}
        exporter = await bench.grpc(f"127.0.0.1:{backend.port}", tls=known)
        await exporter.consume(traces(1))
        anonymous = await bench.grpc(f"127.0.0.1:{backend.port}", tls=trusting)
        with pytest.raises(Retry, match="UNAVAILABLE"):
            await anonymous.consume(traces(1))
        assert len(backend.received) == 1
    finally:
        backend.stop()


async def test_plain_text_to_a_tls_port(bench: Bench, backend: GrpcBackend) -> None:
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", tls={"insecure": True})
    with pytest.raises(Retry, match="UNAVAILABLE"):
        await exporter.consume(traces(1))


async def test_tls_to_a_plain_text_port(bench: Bench, certificates: Certificates) -> None:
    backend = GrpcBackend()
    try:
        tls = {"ca_file": certificates.ca}
        exporter = await bench.grpc(f"127.0.0.1:{backend.port}", tls=tls)
        with pytest.raises(Retry, match=r"does not speak TLS; tls: \{insecure: true\}"):
            await exporter.consume(traces(1))
    finally:
        backend.stop()


async def test_a_self_signed_certificate_may_be_its_own_authority(
    bench: Bench, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tempo")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    backend = GrpcBackend(credentials=grpc.ssl_server_credentials([(secret, shown)]))
    try:
        tls = {"ca_pem": shown.decode()}
        exporter = await bench.grpc(f"localhost:{backend.port}", tls=tls)
        await exporter.consume(traces(1))
        elsewhere = await bench.grpc(f"127.0.0.1:{backend.port}", tls=tls)
        with pytest.raises(Retry, match="not valid for name"):
            await elsewhere.consume(traces(1))
    finally:
        backend.stop()


async def test_files_are_read_again(
    bench: Bench, backend: GrpcBackend, certificates: Certificates, tmp_path: Path
) -> None:
    ca = certificates.write("rotating.pem", certificates.stranger)
    tls = {"ca_file": ca, "reload_interval": "1ns"}
    stale = {"ca_file": ca}
    reloading = await bench.grpc(f"127.0.0.1:{backend.port}", tls=tls)
    still = await bench.grpc(f"127.0.0.1:{backend.port}", tls=stale)
    certificates.write("rotating.pem", certificates.authority)
    await reloading.consume(traces(1))
    with pytest.raises(Retry, match="unknown authority"):
        await still.consume(traces(1))


async def test_http_over_tls(bench: Bench, certificates: Certificates) -> None:
    context = certificates.context()
    backend = HttpBackend(wrap=lambda socket: context.wrap_socket(socket, server_side=True))
    try:
        endpoint = f"https://127.0.0.1:{backend.port}"
        exporter = await bench.http(endpoint=endpoint, tls={"ca_file": certificates.ca})
        await exporter.consume(traces(1))
        assert len(backend.received) == 1
        distrusting = await bench.http(endpoint=endpoint)
        with pytest.raises(Retry, match="signed by an unknown authority"):
            await distrusting.consume(traces(1))
    finally:
        backend.stop()


@pytest.mark.parametrize("wanted", [True, False])
async def test_http2_where_the_server_offers_it(
    bench: Bench, certificates: Certificates, wanted: bool
) -> None:
    context = certificates.context()
    context.set_alpn_protocols(["h2"])
    backend = await H2Backend(lambda stream: stream.plain(200)).start(tls=context)
    try:
        exporter = await bench.http(
            endpoint=f"https://127.0.0.1:{backend.port}",
            tls={"ca_file": certificates.ca},
            force_attempt_http2=wanted,
            timeout="2s",
        )
        if wanted:
            batches = [traces(1), traces(2)]
            for batch in batches:
                await exporter.consume(batch)
            assert [stream.headers[":path"] for stream in backend.streams] == ["/v1/traces"] * 2
            assert len(backend.connections) == 1
        else:
            with pytest.raises(Retry):
                await exporter.consume(traces(1))
            assert backend.streams == []
    finally:
        await backend.stop()


@pytest.mark.parametrize(
    ("tls", "path", "says"),
    [
        ({"ca_file": "/no/such/file"}, "tls.ca_file", "no such file"),
        ({"ca_pem": "text"}, "tls.ca_pem", "no certificate in PEM"),
        ({"cert_pem": "text", "key_pem": "text"}, "tls.cert_pem", "no certificate in PEM"),
        ({"cipher_suites": ["TLS_RSA_WITH_RC4_128_SHA"]}, "tls.cipher_suites", "not safe"),
        ({"server_name_override": "a b"}, "tls.server_name_override", "is not a host name"),
    ],
)
async def test_what_cannot_be_used_is_named_at_start(
    bench: Bench, tls: dict[str, Any], path: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        await bench.grpc("tempo:4317", tls=tls)
    [problem] = caught.value.problems
    assert problem.path == path
    assert says in problem.message


def test_keys_are_never_shown() -> None:
    tls = ClientTls.model_validate({"key_pem": "hidden", "cert_pem": "hidden"})
    assert "hidden" not in repr(tls)
    assert tls.native()["key_pem"] == "hidden"


async def test_cipher_suites_and_curves_narrow_the_choice(
    bench: Bench, backend: GrpcBackend, certificates: Certificates
) -> None:
    tls = {
        "ca_file": certificates.ca,
        "max_version": "1.2",
        "cipher_suites": [
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ],
        "curve_preferences": ["P256"],
    }
    exporter = await bench.grpc(f"127.0.0.1:{backend.port}", tls=tls)
    await exporter.consume(traces(1))
