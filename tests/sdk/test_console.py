"""What people read on the console."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from heliograph.sdk.logs import LoggerProvider, ReadableLogRecord
from heliograph.sdk.logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor, log_text
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
    PeriodicExportingMetricReader,
    metrics_text,
)
from heliograph.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import Event, ReadableSpan, TracerProvider
from heliograph.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, span_text
from heliograph.sdk.util.instrumentation import InstrumentationScope

AT = 1_767_323_045_678_000_000
CONTEXT = SpanContext(0xABC, 0xDEF, is_remote=False)
IDS = f"trace={0xABC:032x} span={0xDEF:016x}"


def span(**fields: Any) -> ReadableSpan:
    return ReadableSpan(**{"name": "GET /pay", "context": CONTEXT, "start_time": AT, **fields})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"end_time": AT + 12_345_678}, f"2026-01-02T03:04:05.678Z GET /pay 12.3 ms {IDS}\n"),
        ({}, f"2026-01-02T03:04:05.678Z GET /pay {IDS}\n"),
        (
            {
                "name": "a\x1b[31m\nb",
                "end_time": AT + 999,
                "kind": SpanKind.SERVER,
                "parent": SpanContext(0xABC, 0x1, is_remote=True),
                "status": Status(StatusCode.ERROR, "out of\nmoney"),
                "attributes": {"amount": 5, "who": "a b", "flag": True, "list": ("x", "y")},
                "events": [Event("retry", {"n": 1}, AT + 500_000_000)],
                "links": [Link(SpanContext(0x2, 0x3, is_remote=True), {"why": "batch"})],
            },
            r"2026-01-02T03:04:05.678Z a\x1b[31m\nb 999 ns SERVER ERROR out of\nmoney "
            + IDS
            + ' parent=0000000000000001 amount=5 who="a b" flag=true list=["x", "y"]\n'
            + "    2026-01-02T03:04:06.178Z retry n=1\n"
            + f"    link trace={2:032x} span={3:016x} why=batch\n",
        ),
    ],
)
def test_spans(fields: dict[str, Any], text: str) -> None:
    assert span_text(span(**fields)) == text


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(5, "5 ns"), (1500, "1.5 µs"), (2_500_000_000, "2.5 s"), (10**13, "10000 s")],
)
def test_durations(nanos: int, text: str) -> None:
    assert f" {text} " in span_text(span(end_time=AT + nanos))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"body": "paid", "severity_text": "WARN", "attributes": {"amount": 5}},
            "2026-01-02T03:04:05.678Z WARN shop: paid amount=5\n",
        ),
        (
            {
                "body": {"a": [1, b"\xff"]},
                "severity_number": SeverityNumber.INFO2,
                "event_name": "shop.paid",
                "context": trace.set_span_in_context(trace.NonRecordingSpan(CONTEXT)),
            },
            '2026-01-02T03:04:05.678Z INFO2 shop: [shop.paid] {"a": [1, "ff"]} ' + IDS + "\n",
        ),
        (
            {"body": "one\ntwo\x07", "attributes": {"exception.stacktrace": "Traceback\n  deep"}},
            "2026-01-02T03:04:05.678Z shop: one\n    two\\x07\n    Traceback\n      deep\n",
        ),
        ({}, "2026-01-02T03:04:05.678Z shop:\n"),
    ],
)
def test_log_records(fields: dict[str, Any], text: str) -> None:
    record = LogRecord(timestamp=AT, **fields)
    scope = InstrumentationScope("shop")
    assert log_text(ReadableLogRecord(record, Resource({}), scope)) == text


def test_metrics() -> None:
    few = ExponentialBucketHistogramAggregation(max_scale=0)
    views = [View(instrument_name="waits", aggregation=few)]
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    meter = provider.get_meter("shop")
    requests = meter.create_counter("requests", unit="{request}")
    requests.add(3, {"path": "/pay"})
    meter.create_gauge("heat").set(1.5)
    for size in (3, 7, 20_000):
        meter.create_histogram("sizes", unit="By").record(size)
    for wait in (0, 3, 3.5):
        meter.create_histogram("waits").record(wait)
    lines = metrics_text(reader.get_metrics_data()).splitlines()
    bare = [line.replace(line.split()[0], "TIME") if "Z " in line else line for line in lines]
    assert bare == [
        "shop requests {request} sum cumulative",
        "    TIME 3 path=/pay",
        "shop heat gauge",
        "    TIME 1.5",
        "shop sizes By histogram cumulative",
        "    TIME count=3 sum=20010 min=3 max=20000 ≤5:1 ≤10:1 >10000:1",
        "shop waits exponential histogram cumulative",
        "    TIME count=3 sum=6.5 min=0 max=3.5 0:1 ≤4:2",
    ]


def test_the_console_says_json_unless_told_otherwise() -> None:
    for people in (False, True):
        out = io.StringIO()

        def options(formatter: Any, out: io.StringIO = out, people: bool = people) -> Any:
            return {"out": out} | ({"formatter": formatter} if people else {})

        tracers = TracerProvider(shutdown_on_exit=False)
        exporter = ConsoleSpanExporter(**options(span_text))
        tracers.add_span_processor(SimpleSpanProcessor(exporter))
        tracers.get_tracer("t").start_span("work").end()
        loggers = LoggerProvider(shutdown_on_exit=False)
        records = ConsoleLogRecordExporter(**options(log_text))
        loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
        loggers.get_logger("l").emit(body="said")
        reader = PeriodicExportingMetricReader(
            ConsoleMetricExporter(**options(metrics_text)), export_interval_millis=float("inf")
        )
        meters = MeterProvider([reader], shutdown_on_exit=False)
        meters.get_meter("m").create_counter("hits").add(1)
        assert reader.force_flush()
        text = out.getvalue()
        assert all(word in text for word in ("work", "said", "hits"))
        if people:
            assert len(text.splitlines()) == 4
        else:
            decoder, at, found = json.JSONDecoder(), 0, []
            while at < len(text):
                value, at = decoder.raw_decode(text, at)
                found.append(value)
                at += len(text[at:]) - len(text[at:].lstrip())
            assert [next(iter(one)) for one in found] == ["name", "body", "resource_metrics"]
