"""`logging` as a source of log records.

Spec: Logs Data Model, appendix on the mapping of severities.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import _logs as api
from opentelemetry.context import get_value

from heliograph.sdk._fence import exception_fields
from heliograph.sdk._worker import EXPORTING
from heliograph.sdk.logs._provider import Logger
from heliograph.sdk.logs.correlation import FIELDS

FLUSH = 2000
"""Milliseconds that flushing the handler may take, as `logging` does at exit."""

_PLAIN = (type(None), bool, bytes, int, float, Sequence, Mapping)

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName", *FIELDS}

_EVENT = "otel.event.name"
"""The field of ``extra`` that makes a record an event."""

_TEXTS = {"WARNING": "WARN", "CRITICAL": "FATAL"}


def severity(level: int) -> api.SeverityNumber:
    """Return what a level of `logging` is in the data model."""
    if level < 10:
        return api.SeverityNumber.UNSPECIFIED
    number = 24 if level > 53 else level // 10 * 4 + 1 + min(level % 10, 3)
    return api.SeverityNumber(number)


def severity_text(level: str) -> str:
    """Return how the official SDK writes the name of a level."""
    return _TEXTS.get(level, level)


def _made(record: logging.LogRecord, body: Any, more: dict[str, Any] | None) -> api.LogRecord:
    """Return a record of the API."""
    attributes = {key: value for key, value in vars(record).items() if key not in _OWN}
    attributes["code.file.path"] = record.pathname
    attributes["code.function.name"] = record.funcName
    attributes["code.line.number"] = record.lineno
    name = attributes.pop(_EVENT, None)
    return api.LogRecord(
        timestamp=int(record.created * 1e9),
        severity_text=severity_text(record.levelname),
        severity_number=severity(record.levelno),
        body=body,
        attributes=attributes | (more or {}),
        event_name=None if name is None else str(name),
    )


def _record(
    logger: Logger, record: logging.LogRecord, body: Any, more: dict[str, Any] | None
) -> bool:
    """Record natively; return whether that was possible."""
    fields = record.__dict__
    if _EVENT in fields:
        return False
    if "otelTraceID" in fields:
        # The record's own ids stand for these.
        fields = {key: value for key, value in fields.items() if key not in FIELDS}
    return logger.recorder.log(fields, body, more)


_COLOURS = re.compile("\x1b\\[[0-9;]*m")


def _plain(text: str) -> str:
    """Return a text without the colours that it has for a terminal."""
    return _COLOURS.sub("", text) if "\x1b" in text else text


class LoggingHandler(logging.Handler):
    """Emits what a program logs, each of its loggers as a scope of its own.

    Records carry the ids of the current span, where they were logged (``code.*``), the exception
    (``exception.*``), and what was passed as ``extra``; its ``otel.event.name`` names an event.
    With a formatter the body is what that makes of the record, else the message, or the object
    that was logged in its place.

    What exporters log is not taken. Where no other handler would show a warning, Python's handler
    of last resort still does.
    """

    def __init__(
        self, level: int = logging.NOTSET, logger_provider: api.LoggerProvider | None = None
    ) -> None:
        super().__init__(level)
        self._logger_provider = logger_provider or api.get_logger_provider()
        self._loggers: dict[str, Logger] = {}
        self._here = threading.local()

    def handle(self, record: logging.LogRecord) -> Any:
        """Take a record that passes the filters, without the lock that other handlers need."""
        passed: Any = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Emit a record; what goes wrong is said as `logging.Handler.handleError` does."""
        try:
            if record.levelno >= logging.WARNING:
                self._show(record)
            logger = self._loggers.get(record.name)
            if logger is not None and not logger._takes(severity(record.levelno)):
                return
            info = record.exc_info
            more = None if not info or info[1] is None else exception_fields(info[1])
            body = self._body(record)
            if logger is None or not _record(logger, record, body, more):
                self._emit_slowly(logger, record, body, more)
        except Exception:
            self.handleError(record)

    def _body(self, record: logging.LogRecord) -> Any:
        if self.formatter is not None:
            return _plain(self.format(record))
        if record.args or isinstance(record.msg, str):
            return _plain(record.getMessage())
        return record.msg if isinstance(record.msg, _PLAIN) else str(record.msg)

    def _emit_slowly(
        self,
        logger: Logger | None,
        record: logging.LogRecord,
        body: Any,
        more: dict[str, Any] | None,
    ) -> None:
        """Find the logger, or emit an object. What this thread logs meanwhile is dropped."""
        if getattr(self._here, "busy", False) or get_value(EXPORTING):
            return
        self._here.busy = True
        try:
            found: Any = logger
            if found is None:
                found = self._logger_provider.get_logger(record.name)
                # A proxy stands for the global provider, until there is one.
                found = getattr(found, "_logger", found)
                if isinstance(found, api.NoOpLogger):
                    return
                if type(found) is Logger:
                    self._loggers[record.name] = found
                    if not found._takes(severity(record.levelno)):
                        return
                    if _record(found, record, body, more):
                        return
            found.emit(_made(record, body, more))
        finally:
            self._here.busy = False

    def _show(self, record: logging.LogRecord) -> None:
        """Let the handler of last resort show what no handler but this kind would."""
        last = logging.lastResort
        if last is None or record.levelno < last.level:
            return
        logger: logging.Logger | None = logging.getLogger(record.name)
        first = True
        while logger is not None:
            for handler in logger.handlers:
                if not isinstance(handler, LoggingHandler):
                    return
                if first and handler is not self:
                    # That one shows it.
                    return
                first = False
            logger = logger.parent if logger.propagate else None
        if not first:
            last.handle(record)

    def flush(self) -> None:
        """Send what the provider holds."""
        flush = getattr(self._logger_provider, "force_flush", None)
        if callable(flush):
            flush(FLUSH)
