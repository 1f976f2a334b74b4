"""Telemetry as lines for people; what the console exporters take as ``formatter``.

Times are UTC. Control characters are escaped, so that what is printed cannot steer a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from heliograph.sdk.util import ns_to_iso_str

_INDENT = "\n    "


def span_text(span: Any) -> str:
    """Return a span: when, name, how long, kind, failure, ids, attributes; events and links below.

    ``2026-01-02T03:04:05.678Z GET /pay 12.3 ms SERVER trace=… span=… amount=5``
    """
    status = span.status
    failure = ""
    if status.status_code.name != "UNSET":
        failure = " ".join(filter(None, (status.status_code.name, _clean(status.description))))
    parent = f"parent={span.parent.span_id:016x}" if span.parent else ""
    took = ""
    if span.start_time is not None and span.end_time is not None:
        took = _duration(span.end_time - span.start_time)
    kind = "" if span.kind.name == "INTERNAL" else span.kind.name
    ids = _ids(span.context)
    head = [_time(span.start_time), _clean(span.name), took, kind, failure, ids, parent]
    lines = [_joined(*head, _pairs(span.attributes))]
    lines += [
        _joined(_time(event.timestamp), _clean(event.name), _pairs(event.attributes))
        for event in span.events
    ]
    lines += [_joined("link", _ids(link.context), _pairs(link.attributes)) for link in span.links]
    return _INDENT.join(lines) + "\n"


def log_text(record: Any) -> str:
    """Return a log record: when, severity, logger, event name, body, attributes, ids; the lines of
    a stack trace below.

    ``2026-01-02T03:04:05.678Z WARN shop: paid amount=5 trace=… span=…``
    """
    inner, scope = record.log_record, record.instrumentation_scope
    attributes = dict(inner.attributes or {})
    stack = str(attributes.pop("exception.stacktrace", "")).splitlines()
    ids = f"trace={inner.trace_id:032x} span={inner.span_id:016x}" if inner.trace_id else ""
    number = inner.severity_number
    severity = inner.severity_text or (number.name if number is not None and number.value else "")
    name = f"{_clean(scope.name)}:" if scope is not None and scope.name else ""
    event = f"[{_clean(inner.event_name)}]" if inner.event_name else ""
    body = inner.body if isinstance(inner.body, str) else _value(inner.body)
    first, *rest = (body if inner.body is not None else "").splitlines() or [""]
    when = _time(inner.timestamp or inner.observed_timestamp)
    line = _joined(when, _clean(severity), name, event, _clean(first), _pairs(attributes), ids)
    return _INDENT.join([line, *map(_clean, rest), *map(_clean, stack)]) + "\n"


def metrics_text(data: Any) -> str:
    """Return metrics: scope, name, unit and what they are, and a line below for each point.

    ``shop requests {request} sum cumulative`` and ``2026-01-02T03:04:05.678Z 3 path=/pay``
    """
    lines: list[str] = []
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                shape = metric.data
                temporality = getattr(shape, "aggregation_temporality", None)
                kind = _KINDS.get(type(shape).__name__, type(shape).__name__)
                head = [_clean(scope.scope.name), _clean(metric.name), _clean(metric.unit), kind]
                points = [_point(point) for point in shape.data_points]
                how = "" if temporality is None else temporality.name.lower()
                lines.append(_INDENT.join([_joined(*head, how), *points]))
    return "".join(f"{line}\n" for line in lines)


_KINDS = {
    "Sum": "sum",
    "Gauge": "gauge",
    "Histogram": "histogram",
    "ExponentialHistogram": "exponential histogram",
}


def _point(point: Any) -> str:
    when = _time(point.time_unix_nano)
    if hasattr(point, "value"):
        return _joined(when, _number(point.value), _pairs(point.attributes))
    said = f"count={point.count} sum={_number(point.sum)}"
    if point.count:
        said += f" min={_number(point.min)} max={_number(point.max)}"
    return _joined(when, said, _buckets(point), _pairs(point.attributes))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _buckets(point: Any) -> str:
    """Return the buckets that are not empty, by their upper bounds."""
    if hasattr(point, "explicit_bounds"):
        bounds = [f"≤{bound:g}" for bound in point.explicit_bounds]
        bounds.append(f">{point.explicit_bounds[-1]:g}" if bounds else "all")
        pairs = zip(bounds, point.bucket_counts, strict=False)
        return " ".join(f"{bound}:{count}" for bound, count in pairs if count)
    base = 2.0 ** (2.0**-point.scale)
    found = [f"≥-{edge}" for edge in _exponential(point.negative, base)]
    found += [f"0:{point.zero_count}"] if point.zero_count else []
    return " ".join([*found, *(f"≤{edge}" for edge in _exponential(point.positive, base))])


def _exponential(buckets: Any, base: float) -> Iterable[str]:
    for at, count in enumerate(buckets.bucket_counts, buckets.offset + 1):
        if count:
            try:
                yield f"{base**at:.4g}:{count}"
            except OverflowError:
                yield f"inf:{count}"


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _time(nanos: int | None) -> str:
    return "" if not nanos else ns_to_iso_str(nanos)[:-4] + "Z"


def _duration(nanos: int) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanos >= size:
            return f"{nanos / size:.3g} {unit}" if nanos < 1000 * size else f"{nanos / size:.0f} s"
    return f"{nanos} ns"


def _ids(context: Any) -> str:
    return f"trace={context.trace_id:032x} span={context.span_id:016x}" if context else ""


def _pairs(attributes: Mapping[str, Any] | None) -> str:
    pairs = (attributes or {}).items()
    return " ".join(f"{_clean(key)}={_value(value)}" for key, value in pairs)


def _value(value: Any) -> str:
    """Return text bare where that is clear, everything else as JSON."""
    if isinstance(value, str) and value and value.isprintable() and not set(value) & set(' "='):
        return value
    return _clean(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.hex() if isinstance(value, bytes) else str(value)


def _clean(text: str | None) -> str:
    text = text or ""
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter.isprintable() or letter == "\t"
        else letter.encode("unicode_escape").decode()
        for letter in text
    )
