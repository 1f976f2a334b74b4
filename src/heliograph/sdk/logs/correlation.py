"""Trace ids in the logs that a program writes itself.

The fields are those of the official instrumentation of `logging`: ``otelTraceID`` and
``otelSpanID`` (hexadecimal; ``0`` outside of spans), ``otelTraceSampled`` (a bool),
``otelServiceName``.

Spec: Logs, Trace Context in non-OTLP Log Formats.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from opentelemetry import trace

from heliograph.sdk._correlation import (
    FIELDS,
    FORMAT,
    TraceContextFilter,
    correlate_from_environment,
    correlate_logging,
    trace_fields,
)

__all__ = [
    "FIELDS",
    "FORMAT",
    "TraceContextFilter",
    "correlate_from_environment",
    "correlate_logging",
    "loguru_fields",
    "structlog_fields",
    "trace_fields",
]


def structlog_fields(
    logger: Any, method_name: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add ``trace_id``, ``span_id`` and ``trace_flags`` to an event of structlog inside a span: a
    processor, for before the renderer."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event_dict["trace_id"] = format(context.trace_id, "032x")
        event_dict["span_id"] = format(context.span_id, "016x")
        event_dict["trace_flags"] = format(context.trace_flags, "02x")
    return event_dict


def loguru_fields(record: Any) -> None:
    """Put the fields into ``extra`` of a record of loguru: ``logger.configure(patcher=...)``."""
    record["extra"].update(trace_fields())
