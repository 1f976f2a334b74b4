"""The program's own log: one line an event on standard error, for people or as JSON."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from heliograph.pipeline.config import LogsTelemetry
from heliograph.pipeline.redaction import redact

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


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _visible(text: str) -> str:
    """Return a text whose control characters cannot steer a terminal."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class ConsoleFormat(logging.Formatter):
    """Time, level, component, message."""

    def format(self, record: logging.LogRecord) -> str:
        level = _NAMES.get(record.levelname, record.levelname)
        component = _component(record)
        line = f"{_time(record)} {level:<5} {component + ': ' if component else ''}"
        # Indented, so that what others say cannot pass for lines of ours.
        line += _visible(redact(record.getMessage())).replace("\n", "\n    ")
        if record.exc_info:
            line += "\n" + redact(self.formatException(record.exc_info))
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
            "msg": redact(record.getMessage()),
            **self._fields,
        }
        if record.exc_info:
            line["stacktrace"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class Sampling(logging.Filter):
    """Of equal lines in a tick, lets the first few through and then every so many."""

    def __init__(self, config: LogsTelemetry) -> None:
        super().__init__()
        self._initial = config.sampling_initial
        self._thereafter = config.sampling_thereafter
        self._tick = config.sampling_tick
        self._ends = 0.0
        self._seen: dict[tuple[int, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created >= self._ends:
            self._ends = record.created + self._tick
            self._seen.clear()
        key = (record.levelno, record.getMessage())
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        beyond = seen - self._initial
        return beyond <= 0 or (self._thereafter > 0 and beyond % self._thereafter == 0)


def open_handlers(config: LogsTelemetry) -> list[logging.Handler]:
    """Return what writes lines as ``service.telemetry.logs`` says.

    Raises: OSError when a file cannot be written.
    """
    format: logging.Formatter = ConsoleFormat()
    if config.encoding == "json":
        format = JsonFormat(dict(config.initial_fields))
    made: list[logging.Handler] = []
    try:
        for path in config.output_paths:
            handler = _handler(path)
            handler.setFormatter(format)
            if config.sampling:
                handler.addFilter(Sampling(config))
            made.append(handler)
    except OSError:
        close(made)
        raise
    return made


def close(handlers: Iterable[logging.Handler]) -> None:
    """Close what will not be used."""
    for handler in handlers:
        handler.close()


def set_up(
    config: LogsTelemetry, handlers: Sequence[logging.Handler] | None = None
) -> logging.Logger:
    """Direct the log of all components as ``service.telemetry.logs`` says; return its root.

    Raises: OSError when a file cannot be written; the log is as it was then.
    """
    log = logging.getLogger("heliograph")
    old = list(log.handlers)
    for handler in open_handlers(config) if handlers is None else handlers:
        log.addHandler(handler)
    for handler in old:
        log.removeHandler(handler)
    close(old)
    # What other libraries have to say when nobody asks them to log.
    others = _Stream(sys.stderr)
    others.setLevel(logging.WARNING)
    others.setFormatter(log.handlers[0].formatter if log.handlers else ConsoleFormat())
    logging.lastResort = others
    log.setLevel(_LEVELS.get(config.level.lower(), logging.INFO))
    log.propagate = False
    return log


class _Careful(logging.Handler):
    def handleError(self, record: logging.LogRecord) -> None:
        """Say that a line could not be written; Python's own words repeat its arguments."""
        kind = getattr(sys.exc_info()[0], "__name__", "an error")
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"a line of the log of {record.name} could not be written: {kind}\n")


class _Stream(_Careful, logging.StreamHandler[TextIO]):
    pass


class _File(_Careful, logging.FileHandler):
    pass


def _handler(path: str) -> logging.Handler:
    if path in ("stderr", "stdout"):
        return _Stream(sys.stderr if path == "stderr" else sys.stdout)
    return _File(path.removeprefix("file://"), encoding="utf-8")
