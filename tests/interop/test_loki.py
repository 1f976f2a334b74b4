"""Our pushes in a real Loki: lines, labels, structured metadata, as Loki itself would have them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import harness
import pytest
from backends import Loki

from heliograph.exporters import loki as loki_exporter
from heliograph.exporters import otlphttp
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Edge, Kind, SystemClock
from heliograph.testing import settings

pytestmark = pytest.mark.peers("loki")


@pytest.fixture(scope="module")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loki]:
    started = Loki(tmp_path_factory.mktemp("loki"), harness.free_port())
    try:
        started.ready()
        yield started
    finally:
        started.process.stop()


def records(service: str, now: int) -> Batch:
    """Two records with everything that a record can have."""
    text = {"stringValue": "x"}
    nested = {"kvlistValue": {"values": [{"key": "deep.er", "value": {"intValue": "7"}}]}}
    listed = {"arrayValue": {"values": [text, {"boolValue": True}, {}]}}
    resource = [
        {"key": "service.name", "value": {"stringValue": service}},
        {"key": "k8s.pod.name", "value": {"stringValue": "pod-1"}},
        {"key": "team..lead", "value": text},
        {"key": "nested", "value": nested},
    ]
    scope = {"name": "app", "version": "1", "attributes": [{"key": "scope.a", "value": text}]}
    first = {
        "timeUnixNano": str(now),
        "observedTimeUnixNano": str(now + 5),
        "severityNumber": 17,
        "severityText": "Error",
        "flags": 1,
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "eventName": "it.happened",
        "droppedAttributesCount": 3,
        "body": {"stringValue": 'a "quoted"\nline ☀'},
        "attributes": [
            {"key": "http.status_code", "value": {"intValue": "200"}},
            {"key": "1st", "value": {"doubleValue": 1.5e-7}},
            {"key": "list", "value": listed},
            {"key": "map", "value": nested},
        ],
    }
    second = {"observedTimeUnixNano": str(now + 1), "body": nested}
    logs = {"scope": scope, "logRecords": [first, second]}
    request = {"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [logs]}]}
    return Batch.from_json(json.dumps(request).encode(), Signal.LOGS)


def export(module: Any, fields: dict[str, Any], batch: Batch) -> None:
    async def run() -> None:
        edge = Edge(asyncio.get_running_loop(), logging.getLogger("test.edge"))
        given = settings("loki", Kind.EXPORTER, clock=SystemClock(), edge=edge)
        exporter = module.Exporter(module.Config.model_validate(fields), given)
        try:
            await exporter.start()
            await exporter.consume(batch)
        finally:
            await exporter.stop()
            edge.close()

    asyncio.run(run())


def found(
    loki: Loki, service: str, label: str = "service_name"
) -> list[tuple[dict[str, str], list[Any]]]:
    """Labels, then time, line and metadata of each entry; the service's name is left out."""
    answer: list[dict[str, Any]] = []

    def asked() -> bool:
        answer[:] = loki.streams(f'{{{label}="{service}"}}')
        return sum(len(stream["values"]) for stream in answer) >= 2

    harness.wait_until(asked, 30, f"two records of {service}")
    listed = []
    for stream in answer:
        labels = {name: value for name, value in stream["stream"].items() if value != service}
        listed.append((labels, sorted(stream["values"])))
    return sorted(listed, key=str)


def entries_of(streams: list[tuple[dict[str, str], list[Any]]]) -> list[Any]:
    return [entry for _, entries in streams for entry in entries]


@pytest.mark.parametrize("encoding", ["proto", "json"])
def test_structured_metadata_is_what_loki_makes_of_otlp(loki: Loki, encoding: str) -> None:
    now = time.time_ns()
    base = f"http://127.0.0.1:{loki.port}"
    ours, theirs = f"ours-{encoding}-{now}", f"theirs-{encoding}-{now}"
    push = {"endpoint": f"{base}/loki/api/v1/push", "encoding": encoding}
    export(loki_exporter, {**push, "structured_metadata": True}, records(ours, now))
    export(otlphttp, {"endpoint": f"{base}/otlp"}, records(theirs, now))
    mine = found(loki, ours)
    named = [entry[2]["structuredMetadata"].pop("event_name", None) for entry in entries_of(mine)]
    assert sorted(named, key=str) == [None, "it.happened"]  # which Loki 3.7 loses
    assert mine == found(loki, theirs)


@pytest.mark.parametrize("encoding", ["proto", "json"])
def test_lines_and_labels(loki: Loki, encoding: str) -> None:
    now = time.time_ns()
    service = f"lines-{encoding}-{now}"
    endpoint = f"http://127.0.0.1:{loki.port}/loki/api/v1/push"
    batch = records(service, now)
    export(loki_exporter, {"endpoint": endpoint, "encoding": encoding}, batch)
    streams = found(loki, service, "job")
    assert {labels.get("level") for labels, _ in streams} == {"ERROR", None}
    lines = {int(entry[0]): json.loads(entry[1]) for entry in entries_of(streams)}
    assert lines[now]["body"] == 'a "quoted"\nline ☀'
    assert lines[now]["attributes"]["list"] == ["x", True, None]
    assert lines[now + 1]["body"] == {"deep.er": 7}
    assert lines[now + 1]["resources"]["service.name"] == service
