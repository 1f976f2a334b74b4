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

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from heliograph._core import LokiRules
from heliograph.otlp import Batch, Signal

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
    print(f"{'ns an item':44} {'heliograph':>12} {'protobuf':>12}")
    for row in rows():
        theirs = f"{nanoseconds(row.theirs):12,.0f}" if row.theirs else f"{'':>12}"
        print(f"{row.name:44} {nanoseconds(row.ours):12,.0f} {theirs}")


if __name__ == "__main__":
    main()
