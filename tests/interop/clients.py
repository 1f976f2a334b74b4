"""Real programs that send telemetry: how each is started, and what it is known to send."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from backends import program
from install import HERE


@dataclass(frozen=True)
class Client:
    """A program, its protocol, and what to look for in the backends."""

    peer: str
    protocol: str
    spans: frozenset[str]
    """Names of the spans of its trace."""
    counts: dict[str, float]
    """PromQL of what it has counted, with the value."""
    types: dict[str, str]
    """Types by metric name, as Prometheus knows them."""
    line: str
    level: str
    """Loki's label, which the collector makes of the severity's number."""
    severity: str | None
    """The severity's text, as the program wrote it."""

    def command(self) -> list[str]:
        match self.peer:
            case "pyclient":
                app = str(HERE / "pyclient" / "app.py")
                short = self.protocol.partition("/")[0]
                return [str(program("pyclient", "bin/python")), app, short]
            case "nodeclient":
                app = str(program("nodeclient", "app.js"))
                register = "@opentelemetry/auto-instrumentations-node/register"
                return ["node", "--require", register, app]
            case "javaclient":
                agent = program("javaclient", "agent.jar")
                return ["java", f"-javaagent:{agent}", "-cp", str(agent.parent), "App"]
        return [str(program("goclient", "goclient"))]

    def run(self, service: str) -> None:
        """Run the program to its end, sending to the collector's usual ports."""
        port = 4317 if self.protocol == "grpc" else 4318
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_SERVICE_NAME": service,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.namespace=shop,service.instance.id={service}-1",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_METRICS_EXEMPLAR_FILTER": "trace_based",
            # The others ask the metadata services of clouds.
            "OTEL_NODE_RESOURCE_DETECTORS": "env,host,process",
        }
        done = subprocess.run(
            self.command(),
            env=os.environ | environment,
            check=False,
            cwd=program(self.peer, "."),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode in (0, -15), done.stdout + done.stderr


PYTHON = {
    "spans": frozenset({"py parent", "py child"}),
    "counts": {
        'py_requests_total{route="/py"}': 7,
        "py_inflight": -3,
        "py_temperature_celsius": 21.5,
        'py_duration_seconds_count{route="/py"}': 1,
        'py_duration_seconds_bucket{route="/py",le="5.0"}': 1,
        "histogram_count(py_native_bytes)": 3,
        "histogram_sum(py_native_bytes)": 2049,
    },
    "types": {
        "py_requests_total": "counter",
        "py_inflight": "gauge",
        "py_temperature_celsius": "gauge",
        "py_duration_seconds": "histogram",
        "py_native_bytes": "histogram",
    },
    "line": "served from python",
    "level": "WARN",
    "severity": "WARN",
}
CLIENTS = {
    "python-grpc": Client("pyclient", "grpc", **PYTHON),
    "python-http": Client("pyclient", "http/protobuf", **PYTHON),
    "node": Client(
        "nodeclient",
        "http/protobuf",
        spans=frozenset({"GET"}),
        counts={"sum(http_server_request_duration_seconds_count)": 1},
        types={"http_server_request_duration_seconds": "histogram"},
        line="served from node",
        level="INFO",
        severity="info",
    ),
    "go": Client(
        "goclient",
        "grpc",
        spans=frozenset({"go parent", "go child"}),
        counts={
            'go_requests_total{route="/go"}': 7,
            "go_duration_seconds_sum": 0.25,
            "histogram_sum(go_native_bytes)": 1024,
        },
        types={"go_requests_total": "counter", "go_native_bytes": "histogram"},
        line="served from go",
        level="WARN",
        severity=None,
    ),
    "java": Client(
        "javaclient",
        "grpc",
        spans=frozenset({"GET", "GET /hello"}),
        counts={"sum(http_server_request_duration_seconds_count)": 1},
        types={"http_server_request_duration_seconds": "histogram"},
        line="served from java",
        level="INFO",
        severity="INFO",
    ),
}
