"""Logs in a real Loki: pushed in each form, and sent to the OTLP endpoint of its own."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import harness
import pytest
from backends import Loki
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

WAYS = {
    "otlp": ("otlphttp", {}),
    "metadata": ("loki", {"structured_metadata": True}),
    "metadata-json": (
        "loki",
        {"structured_metadata": True, "encoding": "json", "compression": "gzip"},
    ),
    "labels": ("loki", {}),
    "labels-json": ("loki", {"encoding": "json"}),
}
TRACE, SPAN = bytes(range(1, 17)), bytes(range(1, 9))
Seen = tuple[dict[str, str], list[tuple[str, str, dict[str, str]]]]


@dataclass(frozen=True)
class World:
    loki: Loki
    ports: dict[str, int]
    now: int


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def request(service: str, now: int) -> ExportLogsServiceRequest:
    """Records of several kinds under one service."""
    nested = AnyValue(kvlist_value={"values": [text("inner", "value")]})
    records: list[dict[str, Any]] = [
        {
            "time_unix_nano": now + 1,
            "observed_time_unix_nano": now + 2,
            "severity_number": 17,
            "severity_text": "ERROR",
            "body": AnyValue(string_value="it broke\nin two lines: größer 🔭"),
            "attributes": [text("http.route", "/a"), KeyValue(key="nested", value=nested)],
            "trace_id": TRACE,
            "span_id": SPAN,
            "flags": 1,
        },
        {
            "time_unix_nano": now + 3,
            "severity_number": 9,
            "body": AnyValue(int_value=7),
            "attributes": [
                KeyValue(key="count", value=AnyValue(int_value=-3)),
                KeyValue(key="ratio", value=AnyValue(double_value=0.5)),
                KeyValue(key="yes", value=AnyValue(bool_value=True)),
            ],
        },
    ]
    resource = {
        "attributes": [
            text("service.name", service),
            text("service.namespace", "shop"),
            text("service.instance.id", "one"),
            text("cloud.region", "eu-west-1"),
            text("host.name", "node-1"),
        ]
    }
    scope = {"name": "tests.loki", "version": "1", "attributes": [text("module", "checkout")]}
    scopes = [{"scope": scope, "log_records": records}]
    return ExportLogsServiceRequest(resource_logs=[{"resource": resource, "scope_logs": scopes}])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Loki, and one collector that sends what comes to each port its own way."""
    folder = tmp_path_factory.mktemp("loki")
    loki = Loki(folder, harness.free_port())
    ports = {way: harness.free_port() for way in WAYS}
    base = f"http://127.0.0.1:{loki.port}"
    document: dict[str, Any] = {"receivers": {}, "exporters": {}, "service": {"pipelines": {}}}
    for way, (kind, config) in WAYS.items():
        http = {"endpoint": f"127.0.0.1:{ports[way]}"}
        endpoint = f"{base}/otlp" if kind == "otlphttp" else f"{base}/loki/api/v1/push"
        document["receivers"][f"otlp/{way}"] = {"protocols": {"http": http}}
        document["exporters"][f"{kind}/{way}"] = {"endpoint": endpoint, **config}
        pipeline = {"receivers": [f"otlp/{way}"], "exporters": [f"{kind}/{way}"]}
        document["service"]["pipelines"][f"logs/{way}"] = pipeline
    path = folder / "config.json"
    path.write_text(json.dumps(document))
    heliograph = harness.ROOT / ".venv" / "bin" / "heliograph"
    now = time.time_ns()
    try:
        loki.ready()
        command = [heliograph, "collector", "--config", path]
        with harness.running(command, folder / "collector.log") as collector:
            for way, port in ports.items():
                collector.ready(port)
                send = urllib.request.Request(
                    f"http://127.0.0.1:{port}/v1/logs",
                    data=request(way, now).SerializeToString(),
                    headers={"content-type": "application/x-protobuf"},
                )
                # An answer means that Loki has it.
                with urllib.request.urlopen(send, timeout=20) as answer:
                    assert answer.status == 200
            yield World(loki, ports, now)
    finally:
        loki.process.stop()


def seen(world: World, query: str, service: str) -> list[Seen]:
    """Streams of a query: labels, and (time since the start, line, metadata) of each entry."""

    def plain(value: str) -> str:
        return value.replace(service, "SERVICE")

    streams = []
    for stream in world.loki.streams(query):
        labels = {name: plain(value) for name, value in stream["stream"].items()}
        entries = []
        for entry in stream["values"]:
            metadata = entry[2].get("structuredMetadata", {}) if len(entry) > 2 else {}
            entries.append((str(int(entry[0]) - world.now), entry[1], metadata))
        streams.append((labels, sorted(entries, key=lambda entry: entry[0])))
    return sorted(streams, key=str)


@pytest.mark.peers("loki")
@pytest.mark.parametrize("way", ["metadata", "metadata-json"])
def test_structured_metadata_is_what_lokis_own_endpoint_makes(world: World, way: str) -> None:
    def ask(service: str) -> list[Seen]:
        query = f'{{service_name="{service}"}}'
        harness.wait_until(lambda: bool(world.loki.streams(query)), 20, query)
        return seen(world, query, service)

    theirs, ours = ask("otlp"), ask(way)
    assert ours == theirs
    ((labels, entries),) = ours
    assert labels["cloud_region"] == "eu-west-1"
    assert "host_name" not in labels
    lines = [line for _, line, _ in entries]
    assert lines == ["it broke\nin two lines: größer 🔭", "7"]
    assert entries[0][2]["trace_id"] == TRACE.hex()
    assert entries[0][2]["host_name"] == "node-1"


@pytest.mark.peers("loki")
@pytest.mark.parametrize("way", ["labels", "labels-json"])
def test_lines_are_json_under_the_default_labels(world: World, way: str) -> None:
    query = f'{{job="shop/{way}"}}'
    harness.wait_until(lambda: len(world.loki.streams(query)) == 2, 20, f"two levels of {query}")
    (error, (broken,)), (info, (counted,)) = seen(world, query, way)
    assert {name: error[name] for name in ("exporter", "instance", "level")} == {
        "exporter": "OTLP",
        "instance": "one",
        "level": "ERROR",
    }
    assert info["level"] == "INFO"
    line = json.loads(broken[1])
    assert line["body"] == "it broke\nin two lines: größer 🔭"
    assert line["traceid"] == TRACE.hex()
    assert line["attributes"]["nested"] == {"inner": "value"}
    assert json.loads(counted[1])["body"] == 7
