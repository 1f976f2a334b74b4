"""A real collector that writes what it receives, and programs below `heliograph run`."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from exporters.backends import GrpcBackend, HttpBackend

HELIOGRAPH = (str(Path(sys.executable).parent / "heliograph"),)
HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def clean_environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "HELIOGRAPH_"))}
    kept.pop("PYTHONPATH", None)
    return kept | more


@pytest.fixture
def over_grpc() -> Iterator[GrpcBackend]:
    """What takes OTLP over gRPC, and can be told how."""
    backend = GrpcBackend()
    yield backend
    backend.stop()


@pytest.fixture
def over_http() -> Iterator[HttpBackend]:
    """The same over HTTP."""
    backend = HttpBackend()
    yield backend
    backend.stop()


@dataclass
class Backend:
    """A collector, and what has arrived there."""

    endpoint: str
    path: Path
    before: int = 0
    """Requests that arrived for others."""

    def requests(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = self.path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines[self.before :] if line.endswith("\n")]

    def items(self, signal: str) -> list[dict[str, Any]]:
        """The spans, metrics or log records, each with its ``resource`` attributes."""
        outer, inner, key = {
            "spans": ("resourceSpans", "scopeSpans", "spans"),
            "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
            "logs": ("resourceLogs", "scopeLogs", "logRecords"),
        }[signal]
        return [
            item | {"resource": attributes(resource["resource"])}
            for request in self.requests()
            for resource in request.get(outer, ())
            for scope in resource[inner]
            for item in scope[key]
        ]

    def wait(
        self, signal: str, enough: Callable[[list[Any]], bool] = bool, patience: float = 15
    ) -> list[dict[str, Any]]:
        end = time.monotonic() + patience
        while not enough(found := self.items(signal)):
            names = [item.get("name") or item.get("body") for item in found]
            assert time.monotonic() < end, f"only these {signal} arrived: {names}"
            time.sleep(0.05)
        return found


def attributes(owner: dict[str, Any]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values()), None) for a in owner.get("attributes", ())}


@pytest.fixture
def backend(collector: Backend) -> Backend:
    """The collector, and what arrives there from now on."""
    return replace(collector, before=len(collector.requests()))


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    tmp_path = tmp_path_factory.mktemp("collector")
    port, path = free_port(), tmp_path / "arrived.jsonl"
    pipeline = {"receivers": ["otlp"], "exporters": ["file"]}
    config = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"file": {"path": str(path)}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": dict.fromkeys(("traces", "metrics", "logs"), pipeline),
        },
    }
    file = tmp_path / "collector.yaml"
    file.write_text(json.dumps(config))
    log = (tmp_path / "collector.log").open("w")
    process = subprocess.Popen(
        [*HELIOGRAPH, "collector", "--config", str(file)],
        env=clean_environment(), stdout=log, stderr=log,
    )  # fmt: skip
    try:
        end = time.monotonic() + 90
        while not listens(port):
            assert process.poll() is None, (tmp_path / "collector.log").read_text()
            assert time.monotonic() < end, "the collector does not listen"
            time.sleep(0.05)
        yield Backend(f"http://127.0.0.1:{port}", path)
    finally:
        process.terminate()
        process.wait(15)
        log.close()


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``heliograph run …`` to its end."""
    return subprocess.run(
        [*HELIOGRAPH, "run", *command],
        env=clean_environment(**variables), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
