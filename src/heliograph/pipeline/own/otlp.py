"""The program's own telemetry as OTLP: from readings, log lines and spans to batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.own.known import known, shown
from heliograph.pipeline.own.resource import SCOPE
from heliograph.pipeline.telemetry import Histogram, Labels, Reading

CUMULATIVE = 2


@dataclass(frozen=True)
class Line:
    """One line of the log."""

    time_ns: int
    severity: int
    level: str
    message: str
    component: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""


def metrics(
    readings: Iterable[Reading],
    resource: Mapping[str, str],
    level: str,
    *,
    started_ns: int,
    now_ns: int,
) -> Batch:
    """Return what a level shows; sums are cumulative since ``started_ns``."""
    times = {"startTimeUnixNano": str(started_ns), "timeUnixNano": str(now_ns)}
    made = []
    for reading in readings:
        metric = known(reading.name, grows=reading.grows)
        if not shown(level, metric):
            continue
        points = [_point(labels, value, times) for labels, value in reading.values if _told(value)]
        data: dict[str, Any] = {"dataPoints": points}
        if metric.kind != "gauge":
            data["aggregationTemporality"] = CUMULATIVE
        if metric.kind in ("counter", "sum"):
            data["isMonotonic"] = metric.kind == "counter"
        kind = {"counter": "sum"}.get(metric.kind, metric.kind)
        made.append(
            {"name": reading.name, "unit": metric.unit, "description": metric.text, kind: data}
        )
    return _batch(Signal.METRICS, resource, "Metrics", "metrics", made)


def logs(lines: Sequence[Line], resource: Mapping[str, str]) -> Batch:
    """Return lines of the log."""
    records = [
        {
            "timeUnixNano": str(line.time_ns),
            "observedTimeUnixNano": str(line.time_ns),
            "severityNumber": line.severity,
            "severityText": line.level,
            "body": {"stringValue": line.message},
            "attributes": attributes({"component": line.component, **line.attributes}),
            "traceId": line.trace_id,
            "spanId": line.span_id,
        }
        for line in lines
    ]
    return _batch(Signal.LOGS, resource, "Logs", "logRecords", records)


def traces(spans: Sequence[Mapping[str, Any]], resource: Mapping[str, str]) -> Batch:
    """Return spans, which are OTLP/JSON already."""
    return _batch(Signal.TRACES, resource, "Spans", "spans", list(spans))


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return attributes as OTLP/JSON has them."""
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": str(value)}


def _told(value: float | Histogram) -> bool:
    return isinstance(value, Histogram) or isfinite(value)


def _point(labels: Labels, value: float | Histogram, times: Mapping[str, str]) -> dict[str, Any]:
    point: dict[str, Any] = {"attributes": attributes(dict(labels)), **times}
    if isinstance(value, Histogram):
        counts = list(value.counts)
        point |= {
            "count": str(sum(counts)),
            "sum": value.total,
            "bucketCounts": [str(count) for count in counts],
            "explicitBounds": list(value.bounds),
        }
    elif isinstance(value, int):
        point["asInt"] = str(value)
    else:
        point["asDouble"] = value
    return point


def _batch(
    signal: Signal, resource: Mapping[str, str], noun: str, items: str, made: list[Any]
) -> Batch:
    request = {
        f"resource{noun}": [
            {
                "resource": {"attributes": attributes(resource)},
                f"scope{noun}": [{"scope": {"name": SCOPE}, items: made}],
            }
        ]
    }
    return Batch.from_json(json.dumps(request).encode(), signal)
