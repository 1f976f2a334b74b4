"""The program's own log: one line an event on standard error, for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import IO, Any

from heliograph.pipeline.config import LogsTelemetry

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "dpanic": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
_NAMES = {"WARNING": "WARN", "CRITICAL": "FATAL"}


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _component(record: logging.LogRecord) -> str:
    return record.name.removeprefix("heliograph").removeprefix(".")


class ConsoleFormat(logging.Formatter):
    """Time, level, component, message."""

    def format(self, record: logging.LogRecord) -> str:
        level = _NAMES.get(record.levelname, record.levelname)
        component = _component(record)
        line = f"{_time(record)} {level:<5} {component + ': ' if component else ''}"
        line += record.getMessage()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormat(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": _time(record),
            "level": _NAMES.get(record.levelname, record.levelname).lower(),
            "component": _component(record),
            "msg": record.getMessage(),
            **self._fields,
        }
        if record.exc_info:
            line["stacktrace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up(config: LogsTelemetry, stream: IO[str] | None = None) -> logging.Logger:
    """Direct the log of all components as ``service.telemetry.logs`` says; return its root."""
    handler: logging.Handler
    path = next((path for path in config.output_paths if path not in ("stderr", "stdout")), None)
    if stream is None and path is not None:
        handler = logging.FileHandler(path, encoding="utf-8")
    else:
        usual = sys.stdout if config.output_paths == ("stdout",) else sys.stderr
        handler = logging.StreamHandler(stream or usual)
    fields = dict(config.initial_fields)
    handler.setFormatter(JsonFormat(fields) if config.encoding == "json" else ConsoleFormat())
    log = logging.getLogger("heliograph")
    for old in list(log.handlers):
        log.removeHandler(old)
        old.close()
    log.addHandler(handler)
    log.setLevel(_LEVELS.get(config.level.lower(), logging.INFO))
    log.propagate = False
    return log
