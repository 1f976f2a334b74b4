"""Which records a logger takes, and events that become events of spans."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber

from heliograph.sdk.logs import (
    EventToSpanEventBridge,
    LoggerConfig,
    LoggerProvider,
    LoggingHandler,
)
from heliograph.sdk.logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import TracerProvider


def in_trace(*, sampled: bool) -> Any:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else 0)
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, False, flags))
    return trace.set_span_in_context(span)


def provider(config: LoggerConfig) -> tuple[LoggerProvider, InMemoryLogRecordExporter]:
    exporter = InMemoryLogRecordExporter()
    made = LoggerProvider(
        Resource({}), shutdown_on_exit=False, _logger_configurator=lambda scope: config
    )
    made.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return made, exporter


def bodies(exporter: InMemoryLogRecordExporter) -> list[Any]:
    return [one.log_record.body for one in exporter.get_finished_logs()]


def test_records_below_a_severity_are_dropped_those_without_one_are_not() -> None:
    made, exporter = provider(LoggerConfig(minimum_severity=SeverityNumber.WARN.value))
    logger: Any = made.get_logger("shop")
    for number in (None, SeverityNumber.INFO, SeverityNumber.WARN):
        logger.emit(severity_number=number, body=f"parts {number}")
        logger.emit(LogRecord(severity_number=number, body=f"whole {number}"))
        assert logger.enabled(severity_number=number) is (number is not SeverityNumber.INFO)
    handler = LoggingHandler(logger_provider=made)
    for level in (logging.INFO, logging.ERROR) * 2:
        record = logging.LogRecord("shop", level, "f", 1, f"logged {level}", None, None)
        handler.emit(record)
    warn = SeverityNumber.WARN
    expected = ["parts None", "whole None", f"parts {warn}", f"whole {warn}"]
    assert bodies(exporter) == [*expected, "logged 40", "logged 40"]


@pytest.mark.parametrize("trace_based", [True, False])
def test_records_of_unsampled_traces_are_dropped(trace_based: bool) -> None:
    made, exporter = provider(LoggerConfig(trace_based=trace_based))
    logger: Any = made.get_logger("shop")
    for name, context in (
        ("sampled", in_trace(sampled=True)),
        ("unsampled", in_trace(sampled=False)),
        ("nowhere", trace.set_span_in_context(trace.INVALID_SPAN)),
    ):
        taken = name != "unsampled" or not trace_based
        assert logger.enabled(context=context) is taken
        logger.emit(body=name, context=context)
    expected = ["sampled", "nowhere"] if trace_based else ["sampled", "unsampled", "nowhere"]
    assert bodies(exporter) == expected


def test_events_go_on_the_span_that_they_happen_in() -> None:
    made, exporter = provider(LoggerConfig())
    made.add_log_record_processor(EventToSpanEventBridge())
    logger: Any = made.get_logger("shop")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("work") as span:
        logger.emit(event_name="paid", timestamp=5, attributes={"amount": 3})
        logger.emit(body="no event")
        logger.emit(event_name="elsewhere", context=in_trace(sampled=True))
    logger.emit(event_name="later")
    events: Any = span.events  # type: ignore[attr-defined]
    assert [(e.name, e.timestamp, dict(e.attributes)) for e in events] == [
        ("paid", 5, {"amount": 3})
    ]
    assert len(exporter.get_finished_logs()) == 4
