"""The program's own log: one line an event on standard error, for people or as JSON."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
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
_Line = tuple[str, int, str]
_NAMES = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_KINDS = 2048
"""So many different lines are told apart in a tick; more count as one."""


def level_name(record: logging.LogRecord) -> str:
    """Return what a line's level is called: DEBUG, INFO, WARN, ERROR, FATAL."""
    return _NAMES.get(record.levelname, record.levelname)


def component(record: logging.LogRecord) -> str:
    """Return the path of the component that speaks; empty for the program."""
    return record.name.removeprefix("heliograph").removeprefix(".")


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    """Return a text whose control characters cannot steer a terminal."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class ConsoleFormat(logging.Formatter):
    """Time, level, component, message, and the trace that it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        speaker = component(record)
        line = f"{_time(record)} {level_name(record):<5} {speaker + ': ' if speaker else ''}"
        # Indented, so that what others say cannot pass for lines of ours.
        line += visible(redact(record.getMessage())).replace("\n", "\n    ")
        trace = getattr(record, "trace_id", "")
        if trace:
            line += f" (trace {trace})"
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
            "level": level_name(record).lower(),
            "component": component(record),
            "msg": redact(record.getMessage()),
            **self._fields,
        }
        for name in ("trace_id", "span_id"):
            if getattr(record, name, ""):
                line[name] = getattr(record, name)
        if record.exc_info:
            line["stacktrace"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class Sampling:
    """Of equal lines in a tick, lets the first few through and then every so many."""

    def __init__(self, config: LogsTelemetry) -> None:
        self._initial = config.sampling_initial
        self._thereafter = config.sampling_thereafter
        self._tick = config.sampling_tick
        self._ends = 0.0
        self._seen: dict[_Line, int] = {}
        self._left_out: dict[_Line, int] = {}
        self.suppressed = 0
        """Lines that were left out, ever."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written; `left_out` is asked before, as a tick may be over."""
        key = (record.name, record.levelno, record.getMessage())
        if key not in self._seen and len(self._seen) >= _KINDS:
            key = (record.name, record.levelno, "of many kinds")
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        beyond = seen - self._initial
        if beyond <= 0 or (self._thereafter > 0 and beyond % self._thereafter == 0):
            return True
        self._left_out[key] = self._left_out.get(key, 0) + 1
        self.suppressed += 1
        return False

    def left_out(self, now: float) -> Iterator[tuple[str, int, str, int]]:
        """Yield logger, level, message and number of what a tick that is over has left out."""
        if now < self._ends:
            return
        self._ends = now + self._tick
        over, self._left_out = self._left_out, {}
        self._seen.clear()
        for line, count in over.items():
            yield (*line, count)


class Limited(logging.Handler):
    """Hands lines to several handlers, but not more of a kind than is allowed, and says so.

    Args:
        writers: closed with this one.
        before: whose place this one takes.
    """

    def __init__(
        self,
        writers: Sequence[logging.Handler],
        sampling: Sampling | None,
        before: Limited | None = None,
    ) -> None:
        super().__init__()
        self._writers = writers
        self._sampling = sampling
        self._others: list[logging.Handler] = []
        self._suppressed = 0
        if before is not None:
            self._others += before._others
            self._suppressed = before.suppressed
            self.filters = before.filters

    @property
    def suppressed(self) -> int:
        """Lines that were left out, ever."""
        return self._suppressed + (self._sampling.suppressed if self._sampling is not None else 0)

    def add(self, handler: logging.Handler) -> None:
        """Hand lines to one more, also after the next `set_up`."""
        self._others.append(handler)

    def remove(self, handler: logging.Handler) -> None:
        """Hand it no more lines."""
        if handler in self._others:
            self._others.remove(handler)

    def emit(self, record: logging.LogRecord) -> None:
        if self._sampling is not None:
            self._own_up(record.created)
            if not self._sampling.filter(record):
                return
        self._hand(record)

    def _hand(self, record: logging.LogRecord) -> None:
        for handler in (*self._writers, *self._others):
            if record.levelno >= handler.level:
                handler.handle(record)

    def _own_up(self, now: float) -> None:
        """Say what a tick that is over has left out."""
        if self._sampling is not None:
            for name, level, message, count in self._sampling.left_out(now):
                text = f"{count} more of these lines were left out: {message}"
                self._hand(logging.LogRecord(name, level, "", 0, text, (), None))

    def close(self) -> None:
        self._own_up(float("inf"))
        close(self._writers)
        super().close()


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

    Whoever else was given lines by `Limited` is given them still.
    Raises: OSError when a file cannot be written; the log is as it was then.
    """
    log = logging.getLogger("heliograph")
    opened = open_handlers(config) if handlers is None else handlers
    old, before = list(log.handlers), limited(log)
    sampling = Sampling(config) if config.sampling else None
    log.addHandler(Limited(opened, sampling, before))
    for handler in old:
        log.removeHandler(handler)
    close(old)
    # What other libraries have to say when nobody asks them to log.
    others = _Stream(sys.stderr)
    others.setLevel(logging.WARNING)
    others.setFormatter(opened[0].formatter if opened else ConsoleFormat())
    logging.lastResort = others
    log.setLevel(_LEVELS.get(config.level.lower(), logging.INFO))
    log.propagate = False
    return log


def limited(log: logging.Logger) -> Limited | None:
    """Return the handler that `set_up` made, if it did."""
    return next((handler for handler in log.handlers if isinstance(handler, Limited)), None)


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
