"""What the doctor says of endpoints, each a real one, and of those that no test can have."""

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
import trustme
from exporters.backends import Answer, GrpcBackend, HttpBackend

from heliograph.instrument.doctor._destinations import targets
from heliograph.instrument.doctor._probe import probe
from heliograph.instrument.doctor._verdict import Facts, Verdict, judge
from instrument.conftest import free_port

Judge = Callable[..., Verdict]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def over_tls(authority: trustme.CA) -> Iterator[HttpBackend]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    backend = HttpBackend(wrap=lambda plain: context.wrap_socket(plain, server_side=True))
    yield backend
    backend.stop()


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Judge the endpoint of traces, as variables have it."""

    def of(endpoint: str, protocol: str = "grpc", **variables: str) -> Verdict:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        for name, value in variables.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
        return judge(probe(targets()[0]))

    return of


def test_what_works(verdict: Judge, over_grpc: GrpcBackend, over_http: HttpBackend) -> None:
    assert verdict(f"http://127.0.0.1:{over_grpc.port}").kind == "ok"
    assert verdict(f"http://127.0.0.1:{over_http.port}", "http/protobuf").kind == "ok"
    assert verdict(f"http://127.0.0.1:{over_http.port}", "http/json").kind == "ok"
    assert over_http.received[0].path == "/v1/traces"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_refused(verdict: Judge, protocol: str) -> None:
    found = verdict(f"http://127.0.0.1:{free_port()}", protocol)
    assert (found.kind, found.fix[:17]) == ("refused", "start a collector")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_no_such_host(verdict: Judge, protocol: str) -> None:
    assert verdict("http://nosuchhost.invalid:4317", protocol).kind == "no_such_host"


def test_wrong_protocol(verdict: Judge, over_grpc: GrpcBackend, over_http: HttpBackend) -> None:
    found = verdict(f"http://127.0.0.1:{over_http.port}", "grpc")
    assert (found.kind, "http/protobuf" in found.fix) == ("wrong_protocol", True)
    found = verdict(f"http://127.0.0.1:{over_grpc.port}", "http/protobuf")
    assert (found.kind, "PROTOCOL=grpc" in found.fix) == ("wrong_protocol", True)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_tls_on_one_side(
    verdict: Judge,
    over_grpc: GrpcBackend,
    over_http: HttpBackend,
    over_tls: HttpBackend,
    protocol: str,
) -> None:
    plain = over_grpc if protocol == "grpc" else over_http
    assert verdict(f"https://127.0.0.1:{plain.port}", protocol).kind == "no_tls"
    found = verdict(f"http://127.0.0.1:{over_tls.port}", protocol)
    assert (found.kind, found.fix) == ("tls_only", "write https:// in the endpoint")


def test_certificates(
    verdict: Judge, over_tls: HttpBackend, authority: trustme.CA, tmp_path: Path
) -> None:
    endpoint = f"https://localhost:{over_tls.port}"
    found = verdict(endpoint, "http/protobuf")
    assert (found.kind, found.fix) == (
        "untrusted",
        "name its authority in OTEL_EXPORTER_OTLP_CERTIFICATE",
    )
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    assert verdict(endpoint, "http/protobuf", CERTIFICATE=str(tmp_path / "ca.pem")).kind == "ok"


@pytest.mark.parametrize(
    "answer",
    [
        (401, grpc.StatusCode.UNAUTHENTICATED, "unauthorized"),
        (403, grpc.StatusCode.PERMISSION_DENIED, "forbidden"),
        (404, grpc.StatusCode.UNIMPLEMENTED, "not_found"),
        (503, grpc.StatusCode.UNAVAILABLE, "error"),
    ],
)
def test_answers(
    verdict: Judge,
    over_grpc: GrpcBackend,
    over_http: HttpBackend,
    answer: tuple[int, grpc.StatusCode, str],
) -> None:
    status, code, kind = answer
    over_http.answer = lambda request: Answer(status)
    assert verdict(f"http://127.0.0.1:{over_http.port}", "http/protobuf").kind == kind
    over_grpc.answer = lambda context: context.abort(code, "no")
    assert verdict(f"http://127.0.0.1:{over_grpc.port}").kind == kind


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_one_that_never_answers(
    verdict: Judge, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.instrument.doctor._probe.TIMEOUT", 0.3)
    monkeypatch.setattr("heliograph.instrument.doctor._probe.GLANCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = verdict(f"http://127.0.0.1:{mute.getsockname()[1]}", protocol)
    assert found.kind == "error"


def test_what_no_test_can_have() -> None:
    assert judge(Facts("h:1", True, False, connect="timeout")).kind == "timeout"
    unreachable = judge(Facts("h:1", True, False, connect="Network is unreachable"))
    assert unreachable == Verdict("unreachable", "h:1: Network is unreachable", "check the address")
    assert "client's certificate" in judge(Facts("h:1", True, True, tls="ALERT")).fix


def test_exporters_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp_http,nosuch,console,none")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")
    http, unknown, console, none = targets()[:4]
    assert (http.protocol, http.headers) == ("http/protobuf", ("api-key",))
    assert "there is no 'nosuch'" in unknown.problem
    assert (console.protocol, console.problem, none.exporter) == ("", "", "none")
    assert "secret" not in repr(http)
