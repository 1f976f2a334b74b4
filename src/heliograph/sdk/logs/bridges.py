"""structlog and loguru as sources of log records; neither is imported.

Records carry the current span's ids, what the program attached as attributes, and the exception
(``exception.*``). What is logged while records are exported is not taken, and nothing is printed.

Spec: Logs SDK, Bridge API; Logs Data Model.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import MutableMapping
from typing import Any

from opentelemetry import _logs as api
from opentelemetry import trace
from opentelemetry.context import Context, get_value

from heliograph.sdk._worker import EXPORTING
from heliograph.sdk.logs._handler import LoggingHandler, severity, severity_text
from heliograph.sdk.logs.correlation import FIELDS

_METHODS = {
    "msg": "info",
    "log": "info",
    "exception": "error",
    "warn": "warning",
    "fatal": "critical",
}

_PLACES = {
    "pathname": "code.file.path",
    "func_name": "code.function.name",
    "lineno": "code.line.number",
}
"""What structlog's ``CallsiteParameterAdder`` adds, and what it is called here."""

_OF_STRUCTLOG = {"event", "level", "level_number", "logger", "timestamp", "exc_info", "exception"}
_OF_TRACE = {"trace_id", "span_id", "trace_flags"}


class _Bridge:
    """Emits what another library logs, with a logger of ours for each of its names."""

    def __init__(self, logger_provider: api.LoggerProvider | None = None) -> None:
        self._provider = logger_provider
        self._here = threading.local()

    def _emit(self, name: str, **fields: Any) -> None:
        """Emit, unless that is asked for while something is emitted or exported."""
        if getattr(self._here, "busy", False) or get_value(EXPORTING):
            return
        self._here.busy = True
        try:
            provider = self._provider or api.get_logger_provider()
            logger: Any = provider.get_logger(name)
            if not isinstance(logger, api.NoOpLogger):
                logger.emit(**fields)
        finally:
            self._here.busy = False


class StructlogBridge(_Bridge):
    """A processor of structlog that emits each event and hands it on unchanged.

    Put it before the renderer, and after what filters and adds. The logger's name is the scope,
    the event's text the body, everything else an attribute. Where structlog writes through
    `logging` to a `LoggingHandler`, that emits the record, and this nothing.

    Args:
        logger_provider: the global one when not given.
    """

    def __call__(
        self, logger: Any, method_name: str, event_dict: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Emit an event; raises nothing but what a provider raises that is not ours."""
        if isinstance(logger, logging.Logger) and _is_handled(logger):
            return event_dict
        level = str(event_dict.get("level") or _METHODS.get(method_name, method_name)).upper()
        number = logging.getLevelName(_METHODS.get(level.lower(), level).upper())
        skipped = _OF_STRUCTLOG | (_OF_TRACE if trace.get_current_span().is_recording() else set())
        attributes = {
            _PLACES.get(key, key): value
            for key, value in event_dict.items()
            if key not in skipped and not key.startswith("_")
        }
        name = event_dict.get("logger") or getattr(logger, "name", None) or "structlog"
        self._emit(
            str(name),
            timestamp=time.time_ns(),
            severity_number=severity(number if isinstance(number, int) else logging.INFO),
            severity_text=severity_text(level),
            body=event_dict.get("event"),
            attributes=attributes,
            exception=_exception(event_dict.get("exc_info"), method_name),
        )
        return event_dict


class LoguruSink(_Bridge):
    """A sink of loguru: ``logger.add(LoguruSink(), format="{message}")``.

    The module is the scope, the message without its format the body, ``extra`` attributes. With
    ``enqueue=True`` the ids are those that `correlation.loguru_fields` has put into ``extra``.

    Args:
        logger_provider: the global one when not given.
    """

    def __call__(self, message: Any) -> None:
        """Emit a message; loguru says what goes wrong."""
        record = message.record
        level, error = record["level"], record["exception"]
        extra = record["extra"]
        self._emit(
            record["name"] or "loguru",
            timestamp=int(record["time"].timestamp() * 1e6) * 1000,
            context=_context(extra),
            severity_number=severity(level.no) if level.no >= 10 else api.SeverityNumber.TRACE,
            severity_text=severity_text(level.name),
            body=record["message"],
            attributes={
                **{key: value for key, value in extra.items() if key not in FIELDS},
                "code.file.path": record["file"].path,
                "code.function.name": record["function"],
                "code.line.number": record["line"],
            },
            exception=None if error is None else error.value,
        )


def _is_handled(logger: logging.Logger | None) -> bool:
    """Whether what this logger logs goes to a handler of ours."""
    while logger is not None:
        if any(isinstance(handler, LoggingHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _exception(info: Any, method_name: str) -> BaseException | None:
    """Return the exception that structlog's ``exc_info`` means."""
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return info[1] if isinstance(info[1], BaseException) else None
    return sys.exc_info()[1] if info or method_name == "exception" else None


def _context(extra: Any) -> Context | None:
    """Return the context that the ids stand for; None for the current one."""
    ids = extra.get("otelTraceID", "0"), extra.get("otelSpanID", "0")
    if "0" in ids or trace.get_current_span().get_span_context().is_valid:
        return None
    flags = trace.TraceFlags(1 if extra.get("otelTraceSampled") else 0)
    span = trace.SpanContext(int(ids[0], 16), int(ids[1], 16), is_remote=False, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(span))
