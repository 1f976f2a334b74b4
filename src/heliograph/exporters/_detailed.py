"""Everything an item has: ``verbosity: detailed`` of the debug exporter, as the Go collector's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heliograph.exporters._normal import boundary
from heliograph.exporters._values import Json, fixed, timestamp, typed

_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_CODES = ("Unset", "Ok", "Error")
_TEMPORALITIES = ("Unspecified", "Delta", "Cumulative")
_SEVERITIES = ("Trace", "Debug", "Info", "Warn", "Error", "Fatal")


def traces(request: Json) -> Iterator[str]:
    """The lines of a request in OTLP/JSON."""
    for at, resource in enumerate(request.get("resourceSpans", ())):
        yield f"ResourceSpans #{at}"
        yield from _resource(resource)
        for number, scope in enumerate(resource.get("scopeSpans", ())):
            yield from _scope("ScopeSpans", number, scope)
            for index, span in enumerate(scope.get("spans", ())):
                yield f"Span #{index}"
                yield from _span(span)


def logs(request: Json) -> Iterator[str]:
    """The lines of a request in OTLP/JSON."""
    for at, resource in enumerate(request.get("resourceLogs", ())):
        yield f"ResourceLog #{at}"
        yield from _resource(resource)
        for number, scope in enumerate(resource.get("scopeLogs", ())):
            yield from _scope("ScopeLogs", number, scope)
            for index, record in enumerate(scope.get("logRecords", ())):
                yield f"LogRecord #{index}"
                yield from _record(record)


def metrics(request: Json) -> Iterator[str]:
    """The lines of a request in OTLP/JSON."""
    for at, resource in enumerate(request.get("resourceMetrics", ())):
        yield f"ResourceMetrics #{at}"
        yield from _resource(resource)
        for number, scope in enumerate(resource.get("scopeMetrics", ())):
            yield from _scope("ScopeMetrics", number, scope)
            for index, metric in enumerate(scope.get("metrics", ())):
                yield f"Metric #{index}"
                yield from _metric(metric)


def _resource(resource: Json) -> Iterator[str]:
    about = resource.get("resource", {})
    yield f"Resource SchemaURL: {resource.get('schemaUrl', '')}"
    yield from _attributes("Resource attributes", about.get("attributes", ()))
    references = about.get("entityRefs", ())
    if references:
        yield "Resource entity refs:"
    for index, reference in enumerate(references):
        yield f"     -> Entity ref #{index}:"
        yield f"          -> Type: {reference.get('type', '')}"
        if reference.get("schemaUrl"):
            yield f"          -> Schema URL: {reference['schemaUrl']}"
        for title, field in (("ID keys", "idKeys"), ("Description keys", "descriptionKeys")):
            if reference.get(field):
                yield f"          -> {title}:"
                yield from (f"               -> {key}" for key in reference[field])


def _scope(title: str, number: int, scope: Json) -> Iterator[str]:
    about = scope.get("scope", {})
    yield f"{title} #{number}"
    yield f"{title} SchemaURL: {scope.get('schemaUrl', '')}"
    yield f"InstrumentationScope {about.get('name', '')} {about.get('version', '')}"
    yield from _attributes("InstrumentationScope attributes", about.get("attributes", ()))


def _attributes(title: str, attributes: Sequence[Json], indent: str = "") -> Iterator[str]:
    if attributes:
        yield f"{title}:"
    for entry in attributes:
        yield f"{indent}     -> {entry.get('key', '')}: {typed(entry.get('value', {}))}"


def _span(span: Json) -> Iterator[str]:
    status = span.get("status", {})
    yield _field("Trace ID", span.get("traceId", ""))
    yield _field("Parent ID", span.get("parentSpanId", ""))
    yield _field("ID", span.get("spanId", ""))
    yield _field("Name", span.get("name", ""))
    yield _field("Kind", _name(_KINDS, span.get("kind", 0)))
    if span.get("traceState"):
        yield _field("TraceState", span["traceState"])
    yield _field("Start time", timestamp(span.get("startTimeUnixNano", 0)))
    yield _field("End time", timestamp(span.get("endTimeUnixNano", 0)))
    yield _field("Status code", _name(_CODES, status.get("code", 0)))
    yield _field("Status message", status.get("message", ""))
    yield _field("DroppedAttributesCount", span.get("droppedAttributesCount", 0))
    yield _field("DroppedEventsCount", span.get("droppedEventsCount", 0))
    yield _field("DroppedLinksCount", span.get("droppedLinksCount", 0))
    yield from _attributes("Attributes", span.get("attributes", ()))
    if span.get("events"):
        yield "Events:"
    for index, event in enumerate(span.get("events", ())):
        yield f"SpanEvent #{index}"
        yield f"     -> Name: {event.get('name', '')}"
        yield f"     -> Timestamp: {timestamp(event.get('timeUnixNano', 0))}"
        yield from _dropped(event)
    if span.get("links"):
        yield "Links:"
    for index, link in enumerate(span.get("links", ())):
        yield f"SpanLink #{index}"
        yield f"     -> Trace ID: {link.get('traceId', '')}"
        yield f"     -> ID: {link.get('spanId', '')}"
        yield f"     -> TraceState: {link.get('traceState', '')}"
        yield from _dropped(link)


def _dropped(owner: Json) -> Iterator[str]:
    yield f"     -> DroppedAttributesCount: {owner.get('droppedAttributesCount', 0)}"
    yield from _attributes("     -> Attributes:", owner.get("attributes", ()), "     ")


def _record(record: Json) -> Iterator[str]:
    severity = record.get("severityNumber", 0)
    yield f"ObservedTimestamp: {timestamp(record.get('observedTimeUnixNano', 0))}"
    yield f"Timestamp: {timestamp(record.get('timeUnixNano', 0))}"
    yield f"SeverityText: {record.get('severityText', '')}"
    yield f"SeverityNumber: {_severity(severity)}({severity})"
    if record.get("eventName"):
        yield f"EventName: {record['eventName']}"
    yield f"Body: {typed(record.get('body', {}))}"
    yield from _attributes("Attributes", record.get("attributes", ()))
    yield f"Trace ID: {record.get('traceId', '')}"
    yield f"Span ID: {record.get('spanId', '')}"
    yield f"Flags: {record.get('flags', 0)}"


def _metric(metric: Json) -> Iterator[str]:
    form = next((form for form in _FORMS if form in metric), None)
    data = metric.get(form, {}) if form else {}
    yield "Descriptor:"
    yield f"     -> Name: {metric.get('name', '')}"
    yield f"     -> Description: {metric.get('description', '')}"
    yield f"     -> Unit: {metric.get('unit', '')}"
    yield f"     -> DataType: {form[0].upper() + form[1:] if form else 'Empty'}"
    if form == "sum":
        yield f"     -> IsMonotonic: {'true' if data.get('isMonotonic') else 'false'}"
    if form in ("sum", "histogram", "exponentialHistogram"):
        temporality = _name(_TEMPORALITIES, data.get("aggregationTemporality", 0))
        yield f"     -> AggregationTemporality: {temporality}"
    if form is None:
        return
    title, lines = _FORMS[form]
    for index, point in enumerate(data.get("dataPoints", ())):
        yield f"{title} #{index}"
        yield from _attributes("Data point attributes", point.get("attributes", ()))
        yield f"StartTimestamp: {timestamp(point.get('startTimeUnixNano', 0))}"
        yield f"Timestamp: {timestamp(point.get('timeUnixNano', 0))}"
        yield from lines(point)
        yield from _exemplars(point.get("exemplars", ()))


def _number(point: Json) -> Iterator[str]:
    if "asInt" in point:
        yield f"Value: {point['asInt']}"
    elif "asDouble" in point:
        yield f"Value: {fixed(point['asDouble'])}"


def _summed(point: Json) -> Iterator[str]:
    yield f"Count: {point.get('count', 0)}"
    for name in ("sum", "min", "max"):
        if name in point:
            yield f"{name.capitalize()}: {fixed(point[name])}"


def _histogram(point: Json) -> Iterator[str]:
    yield from _summed(point)
    for index, bound in enumerate(point.get("explicitBounds", ())):
        yield f"ExplicitBounds #{index}: {fixed(bound)}"
    for index, count in enumerate(point.get("bucketCounts", ())):
        yield f"Buckets #{index}, Count: {count}"


def _exponential(point: Json) -> Iterator[str]:
    yield from _summed(point)
    scale = point.get("scale", 0)
    negative, positive = point.get("negative", {}), point.get("positive", {})
    buckets = list(enumerate(negative.get("bucketCounts", ()), negative.get("offset", 0)))
    for index, count in reversed(buckets):
        lower, upper = fixed(-boundary(index + 1, scale)), fixed(-boundary(index, scale))
        yield f"Bucket [{lower}, {upper}), Count: {count}"
    if int(point.get("zeroCount", 0)):
        yield f"Bucket [0, 0], Count: {point['zeroCount']}"
    for index, count in enumerate(positive.get("bucketCounts", ()), positive.get("offset", 0)):
        lower, upper = fixed(boundary(index, scale)), fixed(boundary(index + 1, scale))
        yield f"Bucket ({lower}, {upper}], Count: {count}"


def _summary(point: Json) -> Iterator[str]:
    yield f"Count: {point.get('count', 0)}"
    yield f"Sum: {fixed(point.get('sum', 0))}"
    for index, each in enumerate(point.get("quantileValues", ())):
        quantile, value = fixed(each.get("quantile", 0)), fixed(each.get("value", 0))
        yield f"QuantileValue #{index}: Quantile {quantile}, Value {value}"


def _exemplars(exemplars: Sequence[Json]) -> Iterator[str]:
    if exemplars:
        yield "Exemplars:"
    for index, exemplar in enumerate(exemplars):
        yield f"Exemplar #{index}"
        yield f"     -> Trace ID: {exemplar.get('traceId', '')}"
        yield f"     -> Span ID: {exemplar.get('spanId', '')}"
        yield f"     -> Timestamp: {timestamp(exemplar.get('timeUnixNano', 0))}"
        yield from (f"     -> {line}" for line in _number(exemplar))
        attributes = exemplar.get("filteredAttributes", ())
        yield from _attributes("     -> FilteredAttributes", attributes, "     ")


def _field(title: str, value: object) -> str:
    return f"    {title:<15}: {value}"


def _name(names: Sequence[str], value: int) -> str:
    return names[value] if 0 <= value < len(names) else ""


def _severity(value: int) -> str:
    if not 1 <= value <= 24:
        return "" if value else "Unspecified"
    level, step = divmod(value - 1, 4)
    return _SEVERITIES[level] + (str(step + 1) if step else "")


_FORMS = {
    "gauge": ("NumberDataPoints", _number),
    "sum": ("NumberDataPoints", _number),
    "histogram": ("HistogramDataPoints", _histogram),
    "exponentialHistogram": ("ExponentialHistogramDataPoints", _exponential),
    "summary": ("SummaryDataPoints", _summary),
}
