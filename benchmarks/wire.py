"""What the wire core costs: CPU time an item, beside protobuf's own classes where they can do it.

    .venv/bin/python benchmarks/wire.py

Requests have 512 items with 10 attributes each. Every result is compared with the other side's.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from heliograph._core import LokiRules
from heliograph.otlp import Batch, Edits, Set, Signal

ITEMS = 512
ATTRIBUTES = 10
SECONDS = 0.5
"""Each side of a row is repeated for so long; the fastest repetition counts."""


@dataclass(frozen=True)
class Row:
    """One operation: ours, and the same by the other side if there is one."""

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object] | None = None


def attributes(rng: random.Random, owner: Any) -> None:
    for index in range(ATTRIBUTES):
        entry = owner.attributes.add(key=f"attribute.number.{index}")
        if index % 3:
            entry.value.string_value = f"value {rng.randrange(10**6)}"
        else:
            entry.value.int_value = rng.randrange(10**6)


def traces() -> ExportTraceServiceRequest:
    rng = random.Random(1)
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_spans.add()
    scope.scope.name = "benchmark"
    for index in range(ITEMS):
        span = scope.spans.add(name=f"GET /{index % 7}", kind=2)
        span.trace_id, span.span_id = rng.randbytes(16), rng.randbytes(8)
        span.start_time_unix_nano = 1_700_000_000_000_000_000 + index
        span.end_time_unix_nano = span.start_time_unix_nano + rng.randrange(10**9)
        attributes(rng, span)
    return request


def logs() -> ExportLogsServiceRequest:
    rng = random.Random(2)
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_logs.add()
    for index in range(ITEMS):
        record = scope.log_records.add(severity_number=9, severity_text="INFO")
        record.time_unix_nano = 1_700_000_000_000_000_000 + index
        record.body.string_value = f"line {rng.randrange(10**6)}"
        attributes(rng, record)
    return request


def kernels() -> list[Row]:
    """The operations of a batch. protobuf parses first wherever it has to look inside."""
    data = traces().SerializeToString()
    batch = Batch(Signal.TRACES, data)
    parse = ExportTraceServiceRequest.FromString
    key = "attribute.number.5"
    path = f'attributes["{key}"]'
    upsert = Edits([Set('attributes["environment"]', "production")])
    keep = [index % 3 > 0 for index in range(ITEMS)]
    mask = pl.Series(keep)

    def spans(message: ExportTraceServiceRequest) -> Any:
        return message.resource_spans[0].scope_spans[0].spans

    def value(span: Any) -> str | None:
        return next((e.value.string_value for e in span.attributes if e.key == key), None)

    def their_frame() -> list[str | None]:
        return [value(span) for span in spans(parse(data))]

    def their_upsert() -> bytes:
        message = parse(data)
        for span in spans(message):
            span.attributes.add(key="environment").value.string_value = "production"
        return message.SerializeToString()

    def cut(message: ExportTraceServiceRequest, chosen: list[Any]) -> bytes:
        part = ExportTraceServiceRequest()
        resource = part.resource_spans.add()
        resource.resource.CopyFrom(message.resource_spans[0].resource)
        scope = resource.scope_spans.add()
        scope.scope.CopyFrom(message.resource_spans[0].scope_spans[0].scope)
        scope.spans.extend(chosen)
        return part.SerializeToString()

    def their_take() -> bytes:
        message = parse(data)
        return cut(message, [s for s, kept in zip(spans(message), keep, strict=True) if kept])

    def their_split() -> list[bytes]:
        message = parse(data)
        found = spans(message)
        return [cut(message, found[at : at + 100]) for at in range(0, ITEMS, 100)]

    def their_partition() -> list[bytes]:
        message = parse(data)
        groups: dict[str, list[Any]] = {}
        for span in spans(message):
            groups.setdefault(span.name, []).append(span)
        return [cut(message, group) for group in groups.values()]

    assert batch.frame(path)[path].to_list() == their_frame()
    assert parse(bytes(batch.edit(upsert).wire())) == parse(their_upsert())
    assert parse(bytes(batch.take(mask).wire())) == parse(their_take())
    assert [p.items for p in batch.split(items=100)] == [100] * 5 + [12]
    ours = [parse(bytes(part.wire())) for _, part in batch.partition("name")]
    assert ours == [parse(part) for part in their_partition()]
    return [
        Row("scan: validate and count, with one copy", lambda: Batch(Signal.TRACES, data),
            lambda: parse(data)),
        Row("frame: one attribute of ten", lambda: batch.frame(path), their_frame),
        Row("edit: upsert of an attribute", lambda: batch.edit(upsert), their_upsert),
        Row("take: two spans of three", lambda: batch.take(mask), their_take),
        Row("split: a hundred spans each", lambda: batch.split(items=100), their_split),
        Row("partition: by name", lambda: batch.partition("name"), their_partition),
    ]  # fmt: skip


def rows() -> list[Row]:
    message = traces()
    batch = Batch(Signal.TRACES, message.SerializeToString())
    text = batch.json()
    theirs = json_format.MessageToJson(message, indent=None, use_integers_for_enums=True).encode()
    assert Batch.from_json(text, Signal.TRACES).wire() == batch.wire()
    assert len(json.loads(theirs)["resourceSpans"]) == len(json.loads(text)["resourceSpans"])
    records = Batch(Signal.LOGS, logs().SerializeToString())
    loki = LokiRules(exporter=True, job=True, instance=True, level=True, index=None, json=False)
    structured = LokiRules(
        exporter=True, job=True, instance=True, level=True, index=["service.name"], json=False
    )
    for rules in (loki, structured):
        assert sum(count for _, count, _ in rules.apply(records, 0).requests) == ITEMS
    return [
        Row(
            "wire to JSON",
            batch.json,
            lambda: json_format.MessageToJson(
                ExportTraceServiceRequest.FromString(bytes(batch.wire())),
                indent=None,
                use_integers_for_enums=True,
            ),
        ),
        Row(
            "JSON to wire",
            lambda: Batch.from_json(text, Signal.TRACES),
            lambda: json_format.Parse(theirs, ExportTraceServiceRequest()).SerializeToString(),
        ),
        Row("log records to a Loki push, lines in JSON", lambda: loki.apply(records, 0)),
        Row("the same with structured metadata", lambda: structured.apply(records, 0)),
    ]


def nanoseconds(work: Callable[[], object]) -> float:
    """Return the CPU time of the fastest repetition, an item."""
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        started = time.process_time_ns()
        work()
        best = min(best, time.process_time_ns() - started)
    return best / ITEMS


def main() -> None:
    print(f"{'ns an item':44} {'heliograph':>12} {'protobuf':>12} {'ratio':>8}")
    for row in [*kernels(), *rows()]:
        ours = nanoseconds(row.ours)
        line = f"{row.name:44} {ours:12,.0f}"
        if row.theirs:
            theirs = nanoseconds(row.theirs)
            line += f" {theirs:12,.0f} {theirs / ours:8,.1f}"
        print(line)


if __name__ == "__main__":
    main()
