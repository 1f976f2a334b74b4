"""Who is warned that anybody may send, and which TLS versions are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import Collector

from heliograph.cli import main
from heliograph.pipeline.config.load import Loader

REST = """
exporters: {nop: }
extensions:
  health_check: {endpoint: "0.0.0.0:13133"}
  bearertokenauth: {token: sesame}
service:
  extensions: [health_check, bearertokenauth]
  pipelines: {metrics: {receivers: [otlp], exporters: [nop]}}
"""
OPEN = "can be reached from other machines, and whoever reaches it may send"


def told(options: str, rest: str = REST) -> list[str]:
    """Return the warnings about a receiver's gRPC options, as ``line:column: path: message``."""
    text = f"receivers:\n  otlp:\n    protocols:\n      grpc: {options}{rest}"
    loader = Loader([f"yaml:{text}"])
    assert loader.config() is not None, loader.problems
    return [str(problem).removeprefix("--config yaml:") for problem in loader.warnings]


@pytest.mark.parametrize(
    "endpoint",
    ["0.0.0.0:4317", "[::]:4317", ":4317", "10.0.0.5:4317", "[fe80::1%eth0]:4317", "otelcol:4317",
     "[::ffff:10.0.0.5]:4317", "localhost.example:4317"],
)  # fmt: skip
def test_a_receiver_that_others_can_reach(endpoint: str) -> None:
    (warning,) = told(f'{{endpoint: "{endpoint}"}}')
    assert warning == (
        f"4:24: receivers.otlp.protocols.grpc.endpoint: {OPEN}\n"
        "    fix: listen on localhost:4317, name an authenticator under auth, "
        "or demand client certificates with tls.client_ca_file"
    )


@pytest.mark.parametrize(
    "options",
    [
        "{}",
        "{endpoint: localhost:4317}",
        "{endpoint: LOCALHOST:4317}",
        "{endpoint: app.localhost:4317}",
        "{endpoint: 127.0.0.1:4317}",
        "{endpoint: 127.1.2.3:4317}",
        '{endpoint: "[::1]:4317"}',
        '{endpoint: "[::ffff:127.0.0.1]:4317"}',
        "{endpoint: /run/otlp.sock, transport: unix}",
        "{endpoint: 0.0.0.0:4317, auth: {authenticator: bearertokenauth}}",
        "{endpoint: 0.0.0.0:4317, tls: {cert_file: a, key_file: b, client_ca_file: c}}",
    ],
)
def test_those_that_need_no_warning(options: str) -> None:
    assert told(options) == []


def test_tls_alone_keeps_nobody_out() -> None:
    (warning,) = told("{endpoint: 0.0.0.0:4317, tls: {cert_file: a, key_file: b}}")
    assert OPEN in warning


def test_it_is_said_once_at_start(tmp_path: Path) -> None:
    path = tmp_path / "collector.yaml"
    text = "receivers: {otlp: {protocols: {grpc: {endpoint: '0.0.0.0:0'}}}}" + REST
    path.write_text(text.replace("0.0.0.0:13133", "127.0.0.1:0"))
    with Collector(path) as collector:
        collector.until(lambda: collector.says("ready"))
        collector.signal()
        assert collector.wait() == 0
    (line,) = [line for line in collector.err if OPEN in line]
    assert f" WARN  {path}:1:49: receivers.otlp.protocols.grpc.endpoint: " in line


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("option", ["min_version", "max_version"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_tls_below_1_2_is_refused(
    side: str, option: str, version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "collector.yaml"
    tls = f"{{cert_file: a, key_file: b, {option}: {version}}}"
    server, client = (tls, "{}") if side == "server" else ("{cert_file: a, key_file: b}", tls)
    path.write_text(f"""
receivers: {{otlp: {{protocols: {{http: {{tls: {server}}}}}}}}}
exporters: {{otlp: {{endpoint: "a:1", tls: {client}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}}}
""")
    assert main(["collector", "validate", "--config", str(path)]) == 1
    line = 2 if side == "server" else 3
    column = path.read_text().splitlines()[line - 1].index(version) + 1
    where = "receivers.otlp.protocols.http" if side == "server" else "exporters.otlp"
    assert capsys.readouterr().err == (
        f"{path}:{line}:{column}: {where}.tls.{option}: is {version}, which is broken\n"
        "    fix: use 1.2 or 1.3\nheliograph: 1 error\n"
    )
