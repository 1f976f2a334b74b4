"""What the example programs of the SDK record arrives at a real collector."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import Collector

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: 127.0.0.1:{grpc}}}
      http: {{endpoint: 127.0.0.1:{http}}}
exporters:
  file: {{path: {file}}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [file]}}
    metrics: {{receivers: [otlp], exporters: [file]}}
    logs: {{receivers: [otlp], exporters: [file]}}
"""


@dataclass
class World:
    collector: Collector
    ports: dict[str, int]
    file: Path

    def arrived(self, kind: str, *below: str) -> list[dict[str, Any]]:
        """Return all items of a signal, of the service ``shop`` only."""
        text = self.file.read_text() if self.file.exists() else ""
        # The last line may not be whole yet.
        lines = text.rpartition("\n")[0].splitlines()
        level = [one for line in lines for one in json.loads(line).get(kind, ())]
        for resource in level:
            assert {"key": "service.name", "value": {"stringValue": "shop"}} in resource[
                "resource"
            ]["attributes"]
        for name in below:
            level = [inner for one in level for inner in one[name]]
        return level


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("examples")
    ports, file = {"grpc": free(), "http": free()}, folder / "out.jsonl"
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(file=file, **ports))
    with Collector(config) as collector:
        collector.until(lambda: all(map(listens, ports.values())))
        yield World(collector, ports, file)


def run(name: str, port: int) -> str:
    """Run an example to its end; return what it printed."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout + ended.stderr


def test_traces(world: World) -> None:
    said = run("sdk_traces.py", world.ports["grpc"])
    below = ("resourceSpans", "scopeSpans", "spans")
    world.collector.until(lambda: len(world.arrived(*below)) == 20)
    spans = world.arrived(*below)
    failed = [span["name"] for span in spans if span.get("status", {}).get("code") == 2]
    assert sorted(failed) == ["charge card", "pay"]
    assert all(span["traceId"] in said for span in spans)
    assert said.count("charge card") == 10


def test_metrics(world: World) -> None:
    run("sdk_metrics.py", world.ports["http"])
    below = ("resourceMetrics", "scopeMetrics", "metrics")
    world.collector.until(lambda: world.arrived(*below))
    metrics = {metric["name"]: metric for metric in world.arrived(*below)}
    counted = [int(point["asInt"]) for point in metrics["shop.requests"]["sum"]["dataPoints"]]
    assert sum(counted) == 100
    (point,) = metrics["shop.wait"]["exponentialHistogram"]["dataPoints"]
    assert int(point["count"]) == 100
    assert metrics["shop.queue"]["gauge"]["dataPoints"][0]["asInt"] == "0"


def test_logs(world: World) -> None:
    said = run("sdk_logs.py", world.ports["http"])
    below = ("resourceLogs", "scopeLogs", "logRecords")
    world.collector.until(lambda: len(world.arrived(*below)) == 4)
    opens, paid, failed, closed = sorted(
        world.arrived(*below), key=lambda record: int(record["observedTimeUnixNano"])
    )
    assert opens["body"]["stringValue"] == "opens"
    assert f"INFO trace_id={paid['traceId']} order 7 is paid\n" in said
    assert failed["traceId"] == paid["traceId"]
    assert "exception.type" in {one["key"] for one in failed["attributes"]}
    assert closed["eventName"] == "shop.closed"
