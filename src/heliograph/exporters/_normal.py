"""About one line an item: ``verbosity: normal`` of the debug exporter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heliograph.exporters._values import Json, fixed, number, pairs, shortest, text


def traces(request: Json) -> Iterator[str]:
    """The lines of a request in OTLP/JSON."""
    for at, resource in enumerate(request.get("resourceSpans", ())):
        yield f"ResourceTraces #{at}{_resource(resource)}"
        for index, scope in enumerate(resource.get("scopeSpans", ())):
            yield f"ScopeTraces #{index}{_scope(scope)}"
            for span in scope.get("spans", ()):
                words = [span.get("name", ""), span.get("traceId", ""), span.get("spanId", "")]
                yield " ".join([*words, *pairs(span.get("attributes", ()))])


def logs(request: Json) -> Iterator[str]:
    """The lines of a request in OTLP/JSON."""
    for at, resource in enumerate(request.get("resourceLogs", ())):
        yield f"ResourceLog #{at}{_resource(resource)}"
        for index, scope in enumerate(resource.get("scopeLogs", ())):
            yield f"ScopeLog #{index}{_scope(scope)}"
            for record in scope.get("logRecords", ()):
                attributes = pairs(record.get("attributes", ()))
                yield " ".join([text(record.get("body", {})), *attributes])


def metrics(request: Json) -> Iterator[str]:
    """The lines of a request in OTLP/JSON."""
    for at, resource in enumerate(request.get("resourceMetrics", ())):
        yield f"ResourceMetrics #{at}{_resource(resource)}"
        for index, scope in enumerate(resource.get("scopeMetrics", ())):
            yield f"ScopeMetrics #{index}{_scope(scope)}"
            for metric in scope.get("metrics", ()):
                name = metric.get("name", "")
                for form, values in _VALUES.items():
                    for point in metric.get(form, {}).get("dataPoints", ()):
                        attributes = ",".join(pairs(point.get("attributes", ())))
                        yield f"{name}{{{attributes}}} {' '.join(values(point))}"


def _resource(resource: Json) -> str:
    attributes = resource.get("resource", {}).get("attributes", ())
    return _joined([_bracketed(resource.get("schemaUrl")), *pairs(attributes)])


def _scope(scope: Json) -> str:
    about = scope.get("scope", {})
    version = about.get("version")
    name = about.get("name", "") + (f"@{version}" if version else "")
    attributes = pairs(about.get("attributes", ()))
    return _joined([name, _bracketed(scope.get("schemaUrl")), *attributes])


def _bracketed(url: str | None) -> str:
    return f"[{url}]" if url else ""


def _joined(words: Sequence[str]) -> str:
    return "".join(f" {word}" for word in words if word)


def _number(point: Json) -> list[str]:
    if "asInt" in point:
        return [str(point["asInt"])]
    return [_short(point["asDouble"])] if "asDouble" in point else [""]


def _summed(point: Json) -> list[str]:
    named = [f"{name}={_short(point[name])}" for name in ("sum", "min", "max") if name in point]
    return [f"count={point.get('count', 0)}", *named]


def _histogram(point: Json) -> list[str]:
    bounds = [f"le{_short(bound)}=" for bound in point.get("explicitBounds", ())] + [""]
    counts = point.get("bucketCounts", ())
    return _summed(point) + [
        f"{bound}{count}" for bound, count in zip(bounds, counts, strict=False)
    ]


def _exponential(point: Json) -> list[str]:
    scale = point.get("scale", 0)
    words = _summed(point)
    for side in ("negative", "positive"):
        buckets = point.get(side, {})
        for at, count in enumerate(buckets.get("bucketCounts", ()), buckets.get("offset", 0)):
            words.append(f"le{shortest(boundary(at, scale))}={count}")
    zeros = point.get("zeroCount", 0)
    if int(zeros):
        words.append(f"zero_count{_short(point.get('zeroThreshold', 0))}={zeros}")
    return words


def _summary(point: Json) -> list[str]:
    quantiles = [
        f"q{_short(each.get('quantile', 0))}={_short(each.get('value', 0))}"
        for each in point.get("quantileValues", ())
    ]
    return [f"count={point.get('count', 0)}", f"sum={fixed(point.get('sum', 0))}", *quantiles]


def boundary(index: int, scale: int) -> float:
    """Lower bound of a bucket of an exponential histogram; infinite where a double ends."""
    try:
        return float(2.0 ** (index * 2.0**-scale))
    except OverflowError:
        return float("inf")


def _short(value: object) -> str:
    return shortest(number(value))


_VALUES = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponentialHistogram": _exponential,
    "summary": _summary,
}
