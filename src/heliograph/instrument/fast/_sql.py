"""What the instrumentations of databases share: one span and one measurement a statement.

Spec: semantic conventions, SQL (stable).
"""

import re
from contextlib import nullcontext
from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter
from typing import Any, NamedTuple

from opentelemetry import metrics, trace
from opentelemetry.context import get_current
from opentelemetry.trace import SpanKind, StatusCode

from heliograph._core import VERSION
from heliograph.instrument.fast._context import suppressed
from heliograph.instrument.fast._http import SCHEMA, error_name
from heliograph.instrument.fast._patch import Settings, fenced

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
"""Bounds of the durations, in seconds."""

LONGEST_SUMMARY = 255

inside: ContextVar[bool] = ContextVar("inside", default=False)
"""True while an ORM runs a statement that has its span: the driver makes none."""


class Inside:
    """A block in which instrumentations of drivers make no spans."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = inside.set(True)

    def __exit__(self, *_: object) -> None:
        inside.reset(self._token)


_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_LITERAL = re.compile(
    r"""
      (?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<word>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[A-Za-z_@:%$][\w$]*|\$\d+)
    | (?P<text>'(?:[^'\\]|''|\\.)*')
    | (?P<number>[-+]?(?:0x[0-9a-fA-F]+|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+))
    """,
    re.VERBOSE | re.DOTALL,
)
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")
_WORD = re.compile(r'"[^"]*"|`[^`]*`|\[[^\]]*\]|[^\s(),;]+|\(')
_TARGETED = {"FROM", "INTO", "UPDATE", "JOIN", "TABLE", "COPY"}
_STREAMS = {"STDIN", "STDOUT"}
_VERBS = {
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "TRUNCATE", "MERGE",
    "REPLACE", "COPY",
}  # fmt: skip


class Described(NamedTuple):
    """What is said of a statement, found from its text alone.

    ``summary`` is the span's name; ``text`` has ``?`` in place of literal values.
    """

    summary: str
    operation: str
    collection: str | None
    text: str


@lru_cache(maxsize=1024)
def described(statement: str) -> Described:
    """Describe a statement.

    Spec: Database spans, "Generating query summary" and "Sanitization of db.query.text".
    """
    text = _LIST.sub("(?)", _LITERAL.sub(_hidden, statement)).strip()
    words = _WORD.findall(_COMMENT.sub(" ", text))
    operation = words[0].upper() if words else ""
    parts: list[str] = []
    targets: list[str] = []
    expecting = False
    for word in words:
        upper = word.upper()
        if upper in _STREAMS and operation == "COPY":
            expecting = False
        elif expecting and upper not in {"IF", "NOT", "EXISTS", "ONLY", "("}:
            targets.append(word.strip('"`[]'))
            parts.append(targets[-1])
            expecting = False
        elif upper in _TARGETED and (upper not in {"UPDATE", "COPY"} or not parts):
            if upper in {"UPDATE", "COPY"}:
                parts.append(upper)
            expecting = True
        elif upper in _VERBS and (not parts or upper == "SELECT"):
            parts.append(upper)
        elif word == "(":
            expecting = False
    if not parts and operation:
        parts = [operation]
    summary = ""
    for part in parts:
        if len(summary) + 1 + len(part) > LONGEST_SUMMARY:
            break
        summary = f"{summary} {part}" if summary else part
    collection = targets[0] if len(set(targets)) == 1 else None
    return Described(summary, operation, collection, text)


def _hidden(found: re.Match[str]) -> str:
    return found.group() if found.lastgroup == "word" else "?"


class Database:
    """Makes spans and measurements for one library's statements."""

    def __init__(self, library: str, settings: Settings) -> None:
        scope = f"heliograph.instrument.{library}"
        self.tracer = trace.get_tracer(scope, VERSION, settings.tracer_provider, SCHEMA)
        meter = metrics.get_meter(scope, VERSION, settings.meter_provider, SCHEMA)
        self.meter = meter
        self.duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )

    @fenced
    def begin(
        self, place: dict[str, Any], statement: Any, *, batch: int | None = None
    ) -> "Statement | None":
        """Begin a statement, or return None where it is not to be recorded.

        Args:
            place: attributes of the database: system, namespace, address, port.
            statement: as text; something else is shown as what it says of itself.
            batch: how often it is run with other parameters.
        """
        if inside.get() or suppressed(get_current()):
            return None
        return Statement(self, place, described(_text(statement)), batch)

    def begin_described(
        self, place: dict[str, Any], what: Described, batch: int | None = None
    ) -> "Statement | None":
        """Begin what is no SQL, or return None where it is not to be recorded."""
        if inside.get() or suppressed(get_current()):
            return None
        return Statement(self, place, what, batch)


def _text(statement: Any) -> str:
    if isinstance(statement, str):
        return statement
    if isinstance(statement, (bytes, bytearray)):
        return bytes(statement).decode("utf-8", "replace")
    return str(statement)


NOTHING = nullcontext()
"""In the place of a statement that is not recorded."""


class Statement:
    """One statement that runs; its span is not the current one."""

    __slots__ = ("_attributes", "_database", "_started", "span")

    def __init__(
        self, database: Database, place: dict[str, Any], what: Described, batch: int | None
    ) -> None:
        attributes = {**place, "db.operation.name": what.operation}
        if what.collection is not None:
            attributes["db.collection.name"] = what.collection
        if batch is not None and batch > 1 and not what.operation.startswith("PIPELINE"):
            attributes["db.operation.name"] = f"BATCH {what.operation}"
        attributes["db.query.summary"] = what.summary
        self._database = database
        self._attributes = attributes
        more: dict[str, Any] = {"db.query.text": what.text}
        if batch is not None and batch > 1:
            more["db.operation.batch.size"] = batch
        self.span = database.tracer.start_span(
            what.summary or place["db.system.name"],
            kind=SpanKind.CLIENT,
            attributes={**attributes, **more},
        )
        self._started = perf_counter()

    def __enter__(self) -> "Statement":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.end(None if isinstance(error, GeneratorExit) else error)

    def end(self, error: BaseException | None = None, message: str | None = None) -> None:
        """End span and measurement.

        Args:
            message: of the error, where what it says of itself is not to be shown.
        """
        duration = perf_counter() - self._started
        attributes = self._attributes
        span = self.span
        if error is not None:
            name = error_name(error)
            attributes["error.type"] = name
            span.set_attribute("error.type", name)
            code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
            if code:
                span.set_attribute("db.response.status_code", str(code))
            span.set_status(StatusCode.ERROR, message or f"{type(error).__name__}: {error}")
        self._database.duration.record(duration, attributes, trace.set_span_in_context(span))
        span.end()
