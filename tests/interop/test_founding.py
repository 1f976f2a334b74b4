"""The founding example as it stands, between real clients and real backends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import harness
import pytest
from backends import HOSTS, Jaeger, Loki, Prometheus
from clients import CLIENTS, Client

EXAMPLE = harness.ROOT / "examples" / "otel-collector-config.yaml"
BACKENDS = ("prometheus", "loki", "jaeger")


@dataclass(frozen=True)
class World:
    prometheus: Prometheus
    loki: Loki
    jaeger: Jaeger
    collector: harness.Process


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Backends and collector; they live until the last test of this file is done."""
    folder = tmp_path_factory.mktemp("founding")
    hosts = folder / "hosts"
    hosts.write_text(HOSTS)
    heliograph = harness.ROOT / ".venv" / "bin" / "heliograph"
    loki = Loki(folder, 3100)
    jaeger = Jaeger(folder, "[::1]:4317")
    prometheus = Prometheus(folder, "127.0.0.1:8889")
    processes = [loki.process, jaeger.process, prometheus.process]
    try:
        loki.ready()
        jaeger.process.ready(jaeger.port)
        prometheus.process.ready(prometheus.port)
        command = harness.within_hosts([heliograph, "collector", "--config", EXAMPLE], hosts)
        collector = harness.Process(command, folder / "collector.log")
        processes.append(collector)
        for port in (4317, 4318, 8889):
            collector.ready(port)
        yield World(prometheus, loki, jaeger, collector)
        assert collector.stop() == 0, collector.log.read_text()[-4000:]
    finally:
        for process in reversed(processes):
            process.stop()


@pytest.fixture(scope="module")
def sent(world: World) -> Callable[[str], str]:
    """Runs each client once; returns the name of its service."""
    services: dict[str, str] = {}

    def run(name: str) -> str:
        if name not in services:
            services[name] = f"{name}-{time.time_ns()}"
            CLIENTS[name].run(services[name])
        return services[name]

    return run


def eventually(ask: Callable[[], Any], what: str) -> Any:
    """The first true answer; backends take their time to show what they have."""
    answer: list[Any] = []

    def asked() -> bool:
        answer[:] = [ask()]
        return bool(answer[0])

    harness.wait_until(asked, 30, what)
    return answer[0]


def every_client(test: Callable[..., None]) -> Callable[..., None]:
    cases = [
        pytest.param(name, marks=pytest.mark.peers(*BACKENDS, client.peer), id=name)
        for name, client in CLIENTS.items()
    ]
    return pytest.mark.parametrize("name", cases)(test)


def tags(holder: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in holder["tags"]}


@every_client
def test_the_whole_trace_is_in_jaeger(world: World, sent: Callable[[str], str], name: str) -> None:
    service = sent(name)
    client: Client = CLIENTS[name]

    def whole() -> list[dict[str, Any]]:
        found = world.jaeger.traces(service)
        return [t for t in found if {s["operationName"] for s in t["spans"]} == client.spans]

    (trace,) = eventually(whole, f"the trace of {service}")
    assert len(trace["spans"]) == 2
    roots = [span for span in trace["spans"] if not span["references"]]
    (child,) = [span for span in trace["spans"] if span["references"]]
    assert [root["spanID"] for root in roots] == [child["references"][0]["spanID"]]
    for process in trace["processes"].values():
        assert process["serviceName"] == service
        assert tags(process)["environment"] == "production"
        assert tags(process)["service.namespace"] == "shop"
    if name in ("python-grpc", "python-http", "go"):
        assert tags(child)["answer"] == 42
        assert json.loads(tags(child)["list"]) == ["a", "b"]


@every_client
def test_metrics_are_in_prometheus(world: World, sent: Callable[[str], str], name: str) -> None:
    service = sent(name)
    for query, value in CLIENTS[name].counts.items():
        scoped = narrowed(query, service)
        result = eventually(lambda asked=scoped: world.prometheus.series(asked), scoped)
        assert [float(series["value"][1]) for series in result] == [value], scoped
    for metric, kind in CLIENTS[name].types.items():
        family = metric.removesuffix("_total")
        known = world.prometheus.ask("metadata")
        entry = known.get(metric) or known[family]
        assert entry[0]["type"] == kind, metric
    (info,) = world.prometheus.series(f'target_info{{job="shop/{service}"}}')
    assert info["metric"]["instance"] == f"{service}-1"


def narrowed(query: str, service: str) -> str:
    """A query with its selector limited to one service."""
    label = f'job="shop/{service}"'
    if "{" in query:
        return query.replace("{", "{" + label + ",", 1)
    if query.endswith(")"):
        return query[:-1] + "{" + label + "})"
    return query + "{" + label + "}"


@every_client
def test_log_lines_are_in_loki(world: World, sent: Callable[[str], str], name: str) -> None:
    service = sent(name)
    query = f'{{exporter="OTLP", job="shop/{service}"}}'
    (stream,) = eventually(lambda: world.loki.streams(query), query)
    labels = stream["stream"]
    assert labels["instance"] == f"{service}-1"
    assert labels["level"] == CLIENTS[name].level
    (entry,) = stream["values"]
    line = json.loads(entry[1])
    assert line["body"] == CLIENTS[name].line
    assert line.get("severity") == CLIENTS[name].severity
    assert line["resources"]["service.name"] == service
    trace = eventually(lambda: world.jaeger.trace(line["traceid"]), f"trace {line['traceid']}")
    assert line["spanid"] in {span["spanID"] for span in trace["spans"]}


@pytest.mark.peers(*BACKENDS, "pyclient")
def test_exemplars_lead_from_prometheus_to_jaeger(world: World, sent: Callable[[str], str]) -> None:
    service = sent("python-grpc")
    now = time.time()
    metric = f'py_duration_seconds_bucket{{job="shop/{service}"}}'

    def exemplars() -> list[dict[str, Any]]:
        window = {"start": str(now - 600), "end": str(now + 600)}
        found = world.prometheus.ask("query_exemplars", query=metric, **window)
        return [exemplar for series in found for exemplar in series["exemplars"]]

    exemplar = eventually(exemplars, f"exemplars of {metric}")[0]
    assert float(exemplar["value"]) == 0.25
    trace = world.jaeger.trace(exemplar["labels"]["trace_id"])
    assert trace is not None
    assert exemplar["labels"]["span_id"] in {span["spanID"] for span in trace["spans"]}
