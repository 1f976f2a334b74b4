"""The prometheus exporter beside the Go collector's, and read by a real Prometheus."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
from backends import Prometheus, program
from prometheus_client.parser import text_string_to_metric_families

TEXT = "text/plain;version=0.0.4"
NOW = time.time_ns()
START = NOW - 60 * 10**9
TRACE, SPAN = "0102030405060708090a0b0c0d0e0f10", "0102030405060708"


def attributes(**values: str) -> list[dict[str, Any]]:
    return [
        {"key": key.replace("_", "."), "value": {"stringValue": v}} for key, v in values.items()
    ]


def point(**fields: Any) -> dict[str, Any]:
    return {"startTimeUnixNano": START, "timeUnixNano": NOW, **fields}


def exemplar(value: float, seconds_ago: int) -> dict[str, Any]:
    time = NOW - seconds_ago * 10**9
    return {"timeUnixNano": time, "asDouble": value, "traceId": TRACE, "spanId": SPAN}


METRICS: list[dict[str, Any]] = [
    {
        "name": "room.temperature",
        "unit": "Cel",
        "description": "How warm.",
        "gauge": {
            "dataPoints": [
                point(asDouble=21.5, attributes=attributes(room_name='a "b"\n\\c')),
                point(asDouble="NaN", attributes=attributes(room_name="ü")),
            ]
        },
    },
    {
        "name": "sent",
        "unit": "By",
        "sum": {
            "aggregationTemporality": 2,
            "isMonotonic": True,
            "dataPoints": [point(asInt="123456789012", exemplars=[exemplar(5, 20)])],
        },
    },
    {
        "name": "added",
        "sum": {
            "aggregationTemporality": 1,
            "isMonotonic": True,
            "dataPoints": [point(asInt="3")],
        },
    },
    {
        "name": "queue.size",
        "unit": "{messages}",
        "sum": {"aggregationTemporality": 2, "dataPoints": [point(asInt="-7")]},
    },
    {"name": "share", "unit": "1", "gauge": {"dataPoints": [point(asDouble=0.25)]}},
    {
        "name": "http.server.request.duration",
        "unit": "s",
        "histogram": {
            "aggregationTemporality": 2,
            "dataPoints": [
                point(
                    count="6",
                    sum=13.5,
                    explicitBounds=[0.005, 1, 2.5, 10, 1e6],
                    bucketCounts=["1", "2", "0", "1", "1", "1"],
                    exemplars=[exemplar(0.5, 10)],
                )
            ],
        },
    },
    {
        "name": "gc.pause",
        "unit": "s",
        "summary": {
            "dataPoints": [
                point(count="20", sum=4.5, quantileValues=[{"quantile": 0.5, "value": 0.1}])
            ]
        },
    },
]
EXPONENTIAL: dict[str, Any] = {
    "name": "latency",
    "unit": "ms",
    "exponentialHistogram": {
        "aggregationTemporality": 2,
        "dataPoints": [
            point(
                count="48",
                sum=123.5,
                scale=1,
                zeroCount="3",
                positive={"offset": 3, "bucketCounts": ["10", "0", "0", "0", "20", "5", "2"]},
                negative={"offset": -1, "bucketCounts": ["7", "1"]},
                exemplars=[exemplar(3.5, 10), exemplar(12, 5)],
            )
        ],
    },
}


def request(*metrics: dict[str, Any]) -> bytes:
    service = {"service_name": "cart", "service_namespace": "shop", "service_instance_id": "1"}
    resource = attributes(**service, host_name="h1")
    scope = {"name": "meter", "version": "1.2", "attributes": attributes(team_name="blue")}
    scoped = {"scope": scope, "schemaUrl": "https://example.com/1", "metrics": metrics}
    document = {"resource": {"attributes": resource}, "scopeMetrics": [scoped]}
    return json.dumps({"resourceMetrics": [document]}).encode()


class Collector:
    """A collector with one way in and one page."""

    def __init__(self, name: str, folder: Path, **exporter: Any) -> None:
        self.otlp, self.page = harness.free_port(), harness.free_port()
        http = {"endpoint": f"127.0.0.1:{self.otlp}"}
        document = {
            "receivers": {"otlp": {"protocols": {"http": http}}},
            "exporters": {"prometheus": {"endpoint": f"127.0.0.1:{self.page}", **exporter}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["prometheus"]}},
            },
        }
        config = folder / f"{name}.yaml"
        config.write_text(json.dumps(document))
        command: list[str | Path] = [program("otelcol", "otelcol")] if name == "go" else []
        command = command or [harness.ROOT / ".venv" / "bin" / "heliograph", "collector"]
        self.process = harness.Process([*command, "--config", config], folder / f"{name}.log")
        for port in (self.otlp, self.page):
            self.process.ready(port)

    def send(self, *metrics: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self.otlp}/v1/metrics"
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, request(*metrics), headers)) as got:
            assert got.status == 200

    def shows(self, accept: str) -> str:
        url = f"http://127.0.0.1:{self.page}/metrics"
        asked = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(asked) as got:
            return str(got.read().decode())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts collectors and Prometheus; stops them at the end."""
    started: list[harness.Process] = []

    def start(kind: Callable[..., Any], *given: Any, **more: Any) -> Any:
        made = kind(*given, **more)
        started.append(made.process)
        return made

    yield start
    for process in reversed(started):
        process.stop()


def samples(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], str]:
    """Samples by name and labels; an empty label is none."""
    return {
        (sample.name, frozenset((k, v) for k, v in sample.labels.items() if v)): str(
            float(sample.value)
        )
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def types(page: str) -> set[str]:
    return {line for line in page.splitlines() if line.startswith("# TYPE")}


@pytest.mark.peers("otelcol")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"namespace": "space", "const_labels": {"stage": "prod"}},
        {"translation_strategy": "UnderscoreEscapingWithoutSuffixes", "without_scope_info": True},
        {"resource_to_telemetry_conversion": {"enabled": True}},
    ],
    ids=lambda options: "-".join(options) or "defaults",
)
def test_the_same_samples_as_the_go_collector(
    folder: Callable[..., Any], tmp_path: Path, options: dict[str, Any]
) -> None:
    pages = []
    for name in ("go", "ours"):
        collector = folder(Collector, name, tmp_path, **options)
        collector.send(*METRICS)
        collector.send(*METRICS[:2])
        pages.append(collector.shows(TEXT))
    go, ours = pages
    assert samples(ours) == samples(go)
    assert types(ours) == types(go)


@pytest.mark.peers("otelcol")
@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "dots", "values"])
def test_the_same_names_untranslated(
    folder: Callable[..., Any], tmp_path: Path, escaping: str
) -> None:
    pages = []
    for name in ("go", "ours"):
        collector = folder(Collector, name, tmp_path, translation_strategy="NoTranslation")
        collector.send(*METRICS)
        pages.append(collector.shows(f"{TEXT};escaping={escaping}"))
    go, ours = pages
    assert types(ours) == types(go)
    assert samples(ours) == samples(go)


def eventually(ask: Callable[[], Any], what: str) -> Any:
    """The first true answer."""
    answer: list[Any] = []

    def asked() -> bool:
        answer[:] = [ask()]
        return bool(answer[0])

    harness.wait_until(asked, 30, what)
    return answer[0]


@pytest.mark.peers("prometheus")
def test_prometheus_keeps_everything(folder: Callable[..., Any], tmp_path: Path) -> None:
    ours = folder(Collector, "ours", tmp_path)
    ours.send(*METRICS, EXPONENTIAL)
    prometheus = folder(Prometheus, tmp_path, f"127.0.0.1:{ours.page}")
    prometheus.ready()
    (latency,) = eventually(lambda: prometheus.series("latency_milliseconds"), "native histogram")
    assert latency["metric"]["job"] == "shop/cart"
    _, native = latency["histogram"]
    assert (native["count"], native["sum"]) == ("48", "123.5")
    assert sorted(float(count) for *_, count in native["buckets"]) == [1, 2, 3, 5, 7, 10, 20]
    (count,) = prometheus.series("histogram_count(latency_milliseconds)")
    assert count["value"][1] == "48"
    for query, value in {
        "sent_bytes_total": "123456789012",
        "added_total": "3",
        "queue_size": "-7",
        "share_ratio": "0.25",
        'http_server_request_duration_seconds_bucket{le="1.0"}': "3",
        "http_server_request_duration_seconds_count": "6",
        'gc_pause_seconds{quantile="0.5"}': "0.1",
        'target_info{host_name="h1"}': "1",
        'room_temperature_celsius{room_name="ü"}': "NaN",
    }.items():
        (series,) = prometheus.series(query)
        assert series["value"][1] == value, query
    known = prometheus.ask("metadata")
    assert known["latency_milliseconds"][0]["type"] == "histogram"
    assert known["latency_milliseconds"][0]["unit"] == "milliseconds"
    assert known["sent_bytes_total"][0] == {"type": "counter", "help": "", "unit": "bytes"}
    window = {"start": str(NOW / 1e9 - 600), "end": str(NOW / 1e9 + 600)}
    for query, values in {
        "latency_milliseconds": {"3.5", "12"},
        "sent_bytes_total": {"5"},
        "http_server_request_duration_seconds_bucket": {"0.5"},
    }.items():
        found = prometheus.ask("query_exemplars", query=query, **window)
        exemplars = [entry for series in found for entry in series["exemplars"]]
        assert {entry["value"] for entry in exemplars} == values, query
        assert all(e["labels"] == {"trace_id": TRACE, "span_id": SPAN} for e in exemplars)
    (target,) = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


@pytest.mark.peers("prometheus")
def test_prometheus_reads_untranslated_names(folder: Callable[..., Any], tmp_path: Path) -> None:
    ours = folder(Collector, "ours", tmp_path, translation_strategy="NoTranslation")
    ours.send(*METRICS)
    prometheus = folder(Prometheus, tmp_path, f"127.0.0.1:{ours.page}")
    prometheus.ready()
    query = '{"room.temperature", "room.name"="ü"}'
    (series,) = eventually(lambda: prometheus.series(query), query)
    assert series["value"][1] == "NaN"
