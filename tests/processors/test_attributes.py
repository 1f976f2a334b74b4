"""The attributes and resource processors against tables of before and after."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from heliograph.errors import ConfigError
from heliograph.otlp import Batch, Context, Signal
from heliograph.pipeline.component import ComponentId, Edge, Kind, Settings
from heliograph.processors import attributes, resource

CASES = Path(__file__).parent / "attributes"


def cases(*names: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{name}-{index}")
        for name in names
        for index, case in enumerate(yaml.safe_load((CASES / f"{name}.yaml").read_text()))
    ]


def any_value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case list():
            wrapped = AnyValue()
            wrapped.array_value.values.extend(any_value(one) for one in value)
            return wrapped
    wrapped = AnyValue()
    wrapped.kvlist_value.values.extend(pairs(value))
    return wrapped


def pairs(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind or "string_value")


def typed(values: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    """1, 1.0 and True are different values."""
    return {key: (type(value), value) for key, value in values.items()}


class Sink:
    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def consume(self, batch: Batch) -> None:
        self.batches.append(batch)


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    edge = Edge(asyncio.get_running_loop(), logging.getLogger("test"))
    yield edge
    edge.close()


async def run(module: Any, edge: Edge, signal: Signal, config: Any, batch: Batch) -> bytes:
    log = logging.getLogger("test")
    settings = Settings(ComponentId("p"), Kind.PROCESSOR, log, edge, signal)
    checked = module.Config.model_validate(config)
    assert list(checked.check()) == []
    sink = Sink()
    processor = module.Processor(checked, settings, sink)
    await processor.start()
    await processor.consume(batch)
    await processor.stop()
    return bytes(sink.batches[0].wire())


ACTIONS = (
    "insert_update_upsert",
    "from_attribute",
    "delete_and_hash",
    "extract_and_convert",
)


@pytest.mark.parametrize("case", cases(*ACTIONS))
async def test_actions_on_spans(case: Any, edge: Edge) -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.spans.add(name="one", attributes=pairs(case["before"]))
    scope.spans.add(name="two", attributes=pairs({"untouched": [1], **case["before"]}))
    batch = Batch(Signal.TRACES, request.SerializeToString())
    wire = await run(attributes, edge, Signal.TRACES, {"actions": case["actions"]}, batch)
    spans = ExportTraceServiceRequest.FromString(wire).resource_spans[0].scope_spans[0].spans
    assert [span.name for span in spans] == ["one", "two"]
    found = {pair.key: plain(pair.value) for pair in spans[0].attributes}
    assert typed(found) == typed(case["after"])


@pytest.mark.parametrize("case", cases(*ACTIONS))
async def test_actions_on_resources_of_every_signal(case: Any, edge: Edge) -> None:
    config = {"attributes": case["actions"]}
    requests = (
        (Signal.TRACES, ExportTraceServiceRequest(), "resource_spans"),
        (Signal.METRICS, ExportMetricsServiceRequest(), "resource_metrics"),
        (Signal.LOGS, ExportLogsServiceRequest(), "resource_logs"),
    )
    for signal, request, field in requests:
        getattr(request, field).add().resource.attributes.extend(pairs(case["before"]))
        batch = Batch(signal, request.SerializeToString())
        wire = await run(resource, edge, signal, config, batch)
        after = getattr(type(request).FromString(wire), field)[0].resource.attributes
        assert typed({pair.key: plain(pair.value) for pair in after}) == typed(case["after"])


async def test_upsert_on_every_kind_of_data_point_and_on_log_records(edge: Edge) -> None:
    config = {"actions": [{"key": "k", "action": "upsert", "value": "v"}]}
    metrics = ExportMetricsServiceRequest()
    scope = metrics.resource_metrics.add().scope_metrics.add()
    kinds = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
    for kind in kinds:
        getattr(scope.metrics.add(name=kind), kind).data_points.add()
    batch = Batch(Signal.METRICS, metrics.SerializeToString())
    wire = await run(attributes, edge, Signal.METRICS, config, batch)
    after = ExportMetricsServiceRequest.FromString(wire).resource_metrics[0].scope_metrics[0]
    for kind, metric in zip(kinds, after.metrics, strict=True):
        assert [pair.key for pair in getattr(metric, kind).data_points[0].attributes] == ["k"]
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add()
    batch = Batch(Signal.LOGS, logs.SerializeToString())
    wire = await run(attributes, edge, Signal.LOGS, config, batch)
    record = ExportLogsServiceRequest.FromString(wire).resource_logs[0].scope_logs[0].log_records[0]
    assert [pair.key for pair in record.attributes] == ["k"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("metadata.X-Tenant", "one;two"),
        ("x-tenant", "one;two"),
        ("auth.username", "ann"),
        ("client.address", "10.0.0.7"),
        ("metadata.missing", None),
    ],
)
async def test_values_from_the_request(source: str, expected: str | None, edge: Edge) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add()
    context = Context(
        metadata={"x-tenant": ["one", "two"]}, peer="10.0.0.7", auth={"username": "ann"}
    )
    batch = Batch(Signal.TRACES, request.SerializeToString()).with_context(context)
    config = {"actions": [{"key": "k", "action": "insert", "from_context": source}]}
    wire = await run(attributes, edge, Signal.TRACES, config, batch)
    span = ExportTraceServiceRequest.FromString(wire).resource_spans[0].scope_spans[0].spans[0]
    assert [pair.value.string_value for pair in span.attributes] == ([expected] if expected else [])


@pytest.mark.parametrize("case", cases("select"))
async def test_selection_of_spans(case: Any, edge: Edge) -> None:
    request = ExportTraceServiceRequest()
    shop = request.resource_spans.add()
    shop.resource.attributes.extend(pairs({"service.name": "shop"}))
    scope = shop.scope_spans.add()
    scope.scope.name, scope.scope.version = "lib", "1"
    scope.spans.add(name="a", kind=2, attributes=pairs({"n": 1}))
    scope.spans.add(name="b", kind=3, attributes=pairs({"n": "1"}))
    request.resource_spans.add().scope_spans.add().spans.add(name="c")
    config = {"actions": [{"key": "hit", "action": "insert", "value": True}], **case["select"]}
    batch = Batch(Signal.TRACES, request.SerializeToString())
    wire = await run(attributes, edge, Signal.TRACES, config, batch)
    selected = [
        span.name
        for one in ExportTraceServiceRequest.FromString(wire).resource_spans
        for inner in one.scope_spans
        for span in inner.spans
        if any(pair.key == "hit" for pair in span.attributes)
    ]
    assert selected == case["selected"]


@pytest.mark.parametrize(
    ("match", "selected"),
    [
        ({"log_bodies": ["^pay"]}, ["pay"]),
        ({"log_bodies": ["^7$"]}, ["seven"]),
        ({"log_severity_texts": ["ERR"]}, ["pay"]),
        ({"log_severity_number": {"min": 9}}, ["pay"]),
        ({"log_severity_number": {"min": 9, "match_undefined": True}}, ["pay", "seven"]),
    ],
)
async def test_selection_of_log_records(match: Any, selected: list[str], edge: Edge) -> None:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    scope.log_records.add(
        body=any_value("pay!"),
        severity_text="ERROR",
        severity_number=17,
        attributes=pairs({"id": "pay"}),
    )
    scope.log_records.add(body=any_value(7), attributes=pairs({"id": "seven"}))
    scope.log_records.add(severity_number=5, attributes=pairs({"id": "low"}))
    config = {
        "actions": [{"key": "hit", "action": "insert", "value": True}],
        "include": {"match_type": "regexp", **match},
    }
    batch = Batch(Signal.LOGS, request.SerializeToString())
    wire = await run(attributes, edge, Signal.LOGS, config, batch)
    records = ExportLogsServiceRequest.FromString(wire).resource_logs[0].scope_logs[0].log_records
    assert [
        record.attributes[0].value.string_value
        for record in records
        if any(pair.key == "hit" for pair in record.attributes)
    ] == selected


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ({"action": "insert", "key": "a"}, "action"),
        ({"action": "insert", "key": "a", "value": 1, "from_attribute": "b"}, "from_attribute"),
        ({"action": "insert", "value": 1}, "key"),
        ({"action": "delete"}, "key"),
        ({"action": "delete", "key": "a", "value": 1}, "value"),
        ({"action": "extract", "key": "a"}, "pattern"),
        ({"action": "extract", "key": "a", "pattern": "(x)"}, "pattern"),
        ({"action": "extract", "key": "a", "pattern": "("}, "pattern"),
        ({"action": "convert", "key": "a"}, "converted_type"),
    ],
)
def test_wrong_actions_are_named(action: Any, path: str) -> None:
    config = resource.Config.model_validate({"attributes": [action]})
    assert [problem.path for problem in config.check()] == [f"attributes[0].{path}"]


async def test_a_property_of_another_signal_is_refused(edge: Edge) -> None:
    config = {
        "actions": [{"key": "a", "action": "delete"}],
        "include": {"match_type": "strict", "span_names": ["x"]},
    }
    request = ExportLogsServiceRequest()
    batch = Batch(Signal.LOGS, request.SerializeToString())
    with pytest.raises(ConfigError, match=r"processors\.p\.include\.span_names: .*logs"):
        await run(attributes, edge, Signal.LOGS, config, batch)
