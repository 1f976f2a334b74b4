"""The program's own metrics, logs and traces over OTLP, taken by a real receiver."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from graphs import World
from serving import receiving

from heliograph.errors import ConfigError, Reject, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Edge
from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.config.model import LogsTelemetry, Push
from heliograph.pipeline.config.model import Telemetry as Config
from heliograph.pipeline.config.otel import OtlpExporter
from heliograph.pipeline.logs import set_up
from heliograph.pipeline.own import otlp
from heliograph.pipeline.own.push import Pusher, Queue, url
from heliograph.pipeline.own.service import OwnTelemetry
from heliograph.pipeline.telemetry import Counter
from heliograph.testing import FakeClock, Sink, settle, traces, until

LOG = logging.getLogger("heliograph")
RESOURCE = {"service.name": "me"}


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    handlers, level, propagate = list(LOG.handlers), LOG.level, LOG.propagate
    set_up(LogsTelemetry(output_paths=()))
    yield
    LOG.handlers[:], LOG.level, LOG.propagate = handlers, level, propagate


def configuration(telemetry: dict[str, Any]) -> Config:
    """Return what ``service.telemetry`` of a YAML text comes to."""
    service = {
        "telemetry": telemetry,
        "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["nop"]}},
    }
    receivers = {"otlp": {"protocols": {"grpc": None}}}
    text = {"receivers": receivers, "exporters": {"nop": None}, "service": service}
    loader = Loader([f"yaml:{json.dumps(text)}"])
    config = loader.config()
    assert config is not None, loader.problems
    return config.telemetry


@asynccontextmanager
async def pushing(telemetry: dict[str, Any]) -> AsyncIterator[OwnTelemetry]:
    edge = Edge(asyncio.get_running_loop(), LOG)
    own = OwnTelemetry(configuration({"metrics": {"level": "none"}} | telemetry), edge, LOG)
    try:
        await own.start()
        yield own
    finally:
        await own.stop()
        edge.close()


def exporter(protocol: str, address: str) -> dict[str, Any]:
    return {
        "otlp": {
            "protocol": protocol,
            "endpoint": f"http://{address}",
            "headers": [{"name": "x-team", "value": "a"}],
            "headers_list": "x-other=b",
        }
    }


@pytest.mark.parametrize(("name", "protocol"), [("grpc", "grpc"), ("http", "http/protobuf")])
async def test_metrics_logs_and_traces_arrive(name: str, protocol: str) -> None:
    sink = Sink()
    async with receiving(sink, **{name: {"include_metadata": True}}) as receiver:
        to = exporter(protocol, receiver.addresses[name])
        processors = [{"batch": {"schedule_delay": 20, "exporter": to}}]
        telemetry = {
            "metrics": {"readers": [{"periodic": {"interval": 50, "exporter": to}}]},
            "logs": {"processors": processors},
            "traces": {"sampler": {"always_on": None}, "processors": processors},
            "resource": {"service.name": "shop-collector", "service.version": None},
        }
        async with pushing(telemetry) as own:
            pipelines = {"traces": ("in", "a", "out")}
            async with World(pipelines, telemetry=own.telemetry, tracer=own.tracer) as world:
                await world.send(traces(3))
                LOG.getChild("exporters.out").warning("odd: %s", 1)
                signals = {Signal.TRACES, Signal.METRICS, Signal.LOGS}
                await until(lambda: {batch.signal for batch in sink.batches} == signals)
    told = {batch.signal: json.loads(batch.json()) for batch in sink.batches}
    for batch in sink.batches:
        assert batch.context.metadata["x-team"] == ("a",)
        assert batch.context.metadata["x-other"] == ("b",)
    (resource,) = told[Signal.METRICS]["resourceMetrics"]
    attributes = {a["key"]: a["value"]["stringValue"] for a in resource["resource"]["attributes"]}
    assert attributes["service.name"] == "shop-collector"
    assert set(attributes) == {"service.name", "service.instance.id"}
    metrics = {m["name"]: m for m in resource["scopeMetrics"][0]["metrics"]}
    (point,) = metrics["otelcol_receiver_accepted_spans"]["sum"]["dataPoints"]
    assert point["asInt"] == "3"
    assert metrics["otelcol_receiver_accepted_spans"]["sum"]["isMonotonic"]
    assert "gauge" in metrics["otelcol_process_memory_rss"]
    (line,) = told[Signal.LOGS]["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert (line["body"]["stringValue"], line["severityNumber"]) == ("odd: 1", 13)
    spans = told[Signal.TRACES]["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans] == [
        "exporter/out/traces",
        "processor/a/traces",
        "receiver/in/traces",
    ]
    assert len({span["traceId"] for span in spans}) == 1
    exporting, processing, root = spans
    assert exporting["parentSpanId"] == processing["spanId"]
    assert processing["parentSpanId"] == root["spanId"]
    assert not root.get("parentSpanId")


async def test_lines_of_a_traced_batch_name_its_trace() -> None:
    sink = Sink()
    async with receiving(sink, grpc={}) as receiver:
        to = exporter("grpc", receiver.addresses["grpc"])
        processors = [{"simple": {"exporter": to}}]
        telemetry = {
            "logs": {"processors": processors},
            "traces": {"sampler": {"always_on": None}, "processors": processors},
        }
        async with pushing(telemetry) as own:
            async with World({"traces": ("in", "", "out")}, tracer=own.tracer) as world:
                world.one("exporters.out").sink._outcomes = iter([ValueError("a bug")])
                with pytest.raises(Reject):
                    await world.send(traces(1))
            wanted = {Signal.TRACES, Signal.LOGS}
            await until(lambda: wanted <= {batch.signal for batch in sink.batches})
    told = {batch.signal: json.loads(batch.json()) for batch in sink.batches}
    lines = told[Signal.LOGS]["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    (line,) = (line for line in lines if "a bug" in line["body"]["stringValue"])
    spans = told[Signal.TRACES]["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert line["traceId"] == spans[0]["traceId"]
    assert all(span["status"]["code"] == 2 for span in spans)
    (stack,) = (a for a in line["attributes"] if a["key"] == "exception.stacktrace")
    assert "ValueError: a bug" in stack["value"]["stringValue"]


async def test_without_processors_nothing_stands_between_the_steps() -> None:
    async with pushing({"traces": {"level": "detailed"}}) as own:
        assert own.tracer is None


async def test_what_a_processor_of_spans_keeps_is_sampled() -> None:
    async with pushing(
        {"traces": {"processors": [{"simple": {"exporter": {"console": {}}}}]}}
    ) as own:
        assert own.tracer is not None
        begun = sum(own.tracer.begins() for _ in range(20_000))
        assert 0 < begun < 100, "one in a thousand"


class Target:
    def __init__(self, outcomes: list[Exception | None]) -> None:
        self.outcomes = outcomes
        self.batches: list[Batch] = []

    async def send(self, batch: Batch) -> int:
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        self.batches.append(batch)
        return 0


def line(message: str) -> otlp.Line:
    return otlp.Line(1, 9, "INFO", message, "here")


def messages(target: Target) -> list[list[str]]:
    return [
        [
            record["body"]["stringValue"]
            for record in json.loads(b.json())["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        ]
        for b in target.batches
    ]


async def test_what_failed_is_pushed_again_what_was_rejected_is_counted() -> None:
    push = Push("here", None, every=1.0, room=3, most=2)
    dropped = Counter()
    queue = Queue(push, lambda lines: otlp.logs(lines, RESOURCE), dropped)
    target, clock = Target([Retry("later"), None, Reject("never")]), FakeClock()
    pusher = Pusher(push, queue, target, clock, dropped)
    pusher.start()
    for message in "abcd":
        queue.put(line(message))
    assert dropped.value == 1, "there is room for three"
    await clock.advance(1)
    assert messages(target) == []
    await clock.advance(1)
    assert messages(target) == [["a", "b"]], "c is rejected"
    assert dropped.value == 2
    queue.put(line("e"))
    await pusher.stop()
    assert messages(target) == [["a", "b"], ["e"]]


async def test_a_push_has_an_end() -> None:
    push = Push("here", None, every=1.0, timeout=0.01)
    queue = Queue(push, lambda lines: otlp.logs(lines, RESOURCE), Counter())
    queue.put(line("a"))

    class Stuck:
        async def send(self, batch: Batch) -> int:
            await asyncio.Event().wait()
            return 0

    pusher = Pusher(push, queue, Stuck(), FakeClock(), Counter())
    assert not await pusher.push(0.01)
    await settle()


@pytest.mark.parametrize(
    ("endpoint", "insecure", "expected"),
    [
        ("", False, "http://localhost:4318/v1/logs"),
        ("http://h:1", False, "http://h:1/v1/logs"),
        ("http://h:1/", False, "http://h:1/v1/logs"),
        ("https://h/otlp/v1/logs", False, "https://h/otlp/v1/logs"),
        ("h:1", True, "http://h:1/v1/logs"),
        ("h:1", False, "https://h:1/v1/logs"),
    ],
)
def test_where_it_goes(endpoint: str, insecure: bool, expected: str) -> None:
    assert url(OtlpExporter(endpoint=endpoint, insecure=insecure), Signal.LOGS) == expected


async def test_a_certificate_that_is_not_there_is_a_problem_with_its_path() -> None:
    otlp = {"endpoint": "https://h:1", "certificate": "/nowhere.pem"}
    with pytest.raises(ConfigError) as caught:
        async with pushing({"logs": {"processors": [{"batch": {"exporter": {"otlp": otlp}}}]}}):
            pass
    (problem,) = caught.value.problems
    assert problem.path == "service.telemetry.logs.processors[0].batch.exporter.otlp.certificate"


async def test_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry = {"metrics": {"readers": [{"periodic": {"exporter": {"console": {}}}}]}}
    async with pushing(telemetry):
        pass
    (text,) = capsys.readouterr().out.splitlines()
    assert json.loads(text)["resourceMetrics"]
