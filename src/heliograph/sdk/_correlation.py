"""Trace ids in the records of `logging`; imports nothing but `logging`, so that it can go first.

Spec: Trace Context in non-OTLP Log Formats.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from heliograph.sdk import _variables as variables

FORMAT = (
    "%(asctime)s %(levelname)s [%(name)s] [%(filename)s:%(lineno)d] "
    "[trace_id=%(otelTraceID)s span_id=%(otelSpanID)s resource.service.name=%(otelServiceName)s "
    "trace_sampled=%(otelTraceSampled)s] - %(message)s"
)
"""The format of `logging` that `correlate_logging` sets."""

FIELDS = ("otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName")


def trace_fields() -> dict[str, Any]:
    """Return the fields of the current span."""
    # Where nobody has imported the API there is no span.
    trace = sys.modules.get("opentelemetry.trace")
    current = getattr(trace, "get_current_span", None)
    provider = getattr(trace, "get_tracer_provider", None)
    resource = None if provider is None else getattr(provider(), "resource", None)
    name = resource.attributes.get("service.name") if resource is not None else None
    context = None if current is None else current().get_span_context()
    if context is None or not context.is_valid:
        values: tuple[Any, ...] = ("0", "0", False)
    else:
        trace_id, span_id = format(context.trace_id, "032x"), format(context.span_id, "016x")
        values = (trace_id, span_id, context.trace_flags.sampled)
    service = name or variables.text("OTEL_SERVICE_NAME")
    return dict(zip(FIELDS, (*values, service), strict=True))


class TraceContextFilter(logging.Filter):
    """Puts the fields into each record that passes; attach it to a handler or a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        vars(record).update(trace_fields())
        return True


def correlate_logging(format: str | None = FORMAT, level: int = logging.INFO) -> None:
    """Put the fields into every record of `logging` from now on, and show them.

    Args:
        format: for ``logging.basicConfig``, which does nothing where there is a handler already;
            None leaves handlers as they are.
        level: of the root logger, where the format is set.
    """
    made = logging.getLogRecordFactory()
    if not isinstance(made, _Factory):
        logging.setLogRecordFactory(_Factory(made))
    if format is not None:
        logging.basicConfig(format=format, level=level)


def correlate_from_environment() -> bool:
    """Do what ``OTEL_PYTHON_LOG_CORRELATION``, ``OTEL_PYTHON_LOG_FORMAT`` and
    ``OTEL_PYTHON_LOG_LEVEL`` say; return whether that was anything."""
    if not variables.flag("OTEL_PYTHON_LOG_CORRELATION"):
        return False
    names = logging.getLevelNamesMapping()
    level = variables.choice("OTEL_PYTHON_LOG_LEVEL", map(str.lower, names), "info")
    correlate_logging(variables.text("OTEL_PYTHON_LOG_FORMAT") or FORMAT, names[level.upper()])
    return True


class _Factory:
    """Makes records as another factory does, and adds the fields."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        record = self._make(*args, **kwargs)
        vars(record).update(trace_fields())
        return record
