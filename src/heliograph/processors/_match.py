"""``include`` and ``exclude``: which items a processor works on.

Source: the Collector's internal/filter (filterspan, filterlog, filtermetric).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import polars as pl

from heliograph.errors import Problem
from heliograph.otlp import Batch, Signal, attribute_path
from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.fields import Field

Scalar = bool | int | float | str

_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_ANY = {"services", "attributes", "resources", "libraries"}
_ONLY = {
    Signal.TRACES: {"span_names", "span_kinds"},
    Signal.LOGS: {"log_bodies", "log_severity_texts", "log_severity_number"},
    Signal.METRICS: {"metric_names"},
}
_NO_SERVICE = "<nil-service-name>"
_SETTINGS = {"match_type", "regexp"}


class AttributeMatch(ComponentConfig):
    """An attribute that has to be there, with this value when one is given."""

    key: str = Field(min_length=1, description="Name of the attribute.")
    value: Scalar | None = Field(None, description="Its value; when not given any will do.")


class LibraryMatch(ComponentConfig):
    """An instrumentation scope."""

    name: str = Field(min_length=1, description="Name of the scope.")
    version: str | None = Field(None, description="Its version; when not given any will do.")


class SeverityMatch(ComponentConfig):
    """A range of severity numbers."""

    min: int = Field(ge=0, le=24, description="Lowest severity number that matches.")
    match_undefined: bool = Field(False, description="Match records without a severity too.")


class RegexpSettings(ComponentConfig):
    """The Go collector's cache of regular expressions: accepted, of no effect here."""

    cacheenabled: bool = Field(False, description="Of no effect: expressions run over columns.")
    cachemaxnumentries: int = Field(0, ge=0, description="Of no effect.")


class Match(ComponentConfig):
    """Items match when every property given has a value that fits, and every attribute, resource
    attribute and library named."""

    match_type: Literal["strict", "regexp"] = Field(description="How strings are compared.")
    services: Sequence[str] = Field((), description="Values of the resource's service.name.")
    span_names: Sequence[str] = Field((), description="Names of spans.")
    span_kinds: Sequence[str] = Field((), description="Kinds of spans: SPAN_KIND_SERVER, ….")
    log_bodies: Sequence[str] = Field((), description="Bodies of records that are strings.")
    log_severity_texts: Sequence[str] = Field((), description="Severity texts of records.")
    log_severity_number: SeverityMatch | None = Field(None, description="Severity of records.")
    metric_names: Sequence[str] = Field((), description="Names of metrics.")
    attributes: Sequence[AttributeMatch] = Field((), description="Attributes of the item.")
    resources: Sequence[AttributeMatch] = Field((), description="Attributes of the resource.")
    libraries: Sequence[LibraryMatch] = Field((), description="Scopes that made the item.")
    regexp: RegexpSettings | None = Field(None, description="Of no effect here.")

    def check(self) -> Iterator[Problem]:
        if not self.model_fields_set - _SETTINGS:
            yield Problem(
                "", "matches nothing", fix="name services, attributes or another property"
            )
        if self.match_type == "strict":
            for index, kind in enumerate(self.span_kinds):
                if _kind_number(kind) is None:
                    yield Problem(
                        f"span_kinds[{index}]",
                        f"is '{kind}'",
                        fix="use one of " + ", ".join(f"SPAN_KIND_{name}" for name in _KINDS),
                    )
            return
        for name, patterns in self._patterns():
            for index, pattern in enumerate(patterns):
                fault = _fault(pattern)
                if fault:
                    yield Problem(f"{name}[{index}]", f"is not a regular expression: {fault}")

    def check_signal(self, signal: Signal) -> Iterator[Problem]:
        """Yield the properties that say nothing about this signal."""
        given = self.model_fields_set - _SETTINGS - _ANY - _ONLY.get(signal, set())
        for name in sorted(given):
            yield Problem(name, f"does not apply to {_name(signal)}", fix="remove it")

    def _patterns(self) -> Iterator[tuple[str, Sequence[str]]]:
        for name in (
            "services",
            "span_names",
            "span_kinds",
            "log_bodies",
            "log_severity_texts",
            "metric_names",
        ):
            yield name, getattr(self, name)
        for name in ("attributes", "resources"):
            values = [match.value for match in getattr(self, name)]
            yield name, [str(value) for value in values if value is not None]


class Matcher:
    """A `Match` compiled to columns."""

    def __init__(self, match: Match) -> None:
        self._match = match
        self._regexp = match.match_type == "regexp"
        self._paths: list[str] = []
        self._condition = self._compile()

    def rows(self, batch: Batch) -> pl.Series:
        """Return one boolean per item: whether it matches."""
        frame = batch.frame(*dict.fromkeys(self._paths))
        return frame.select(self._condition.fill_null(False).alias("match")).to_series()

    def _column(self, path: str) -> pl.Expr:
        self._paths.append(path)
        return pl.col(path)

    def _compile(self) -> pl.Expr:
        match = self._match
        conditions = [pl.lit(True)]
        if match.services:
            service = self._column('resource.attributes["service.name"]:text')
            conditions.append(self._string(service.fill_null(_NO_SERVICE), match.services))
        strings = (
            ("span.name", match.span_names),
            ("log.body:text", match.log_bodies),
            ("log.severity_text", match.log_severity_texts),
            ("metric.name", match.metric_names),
        )
        conditions += [
            self._string(self._column(path), values) for path, values in strings if values
        ]
        if match.span_kinds:
            conditions.append(self._kind(match.span_kinds))
        if match.log_severity_number is not None:
            conditions.append(self._severity(match.log_severity_number))
        conditions += [self._attribute("attributes", wanted) for wanted in match.attributes]
        conditions += [self._attribute("resource.attributes", wanted) for wanted in match.resources]
        conditions += [self._library(wanted) for wanted in match.libraries]
        return pl.all_horizontal(conditions)

    def _string(self, column: pl.Expr, values: Sequence[str]) -> pl.Expr:
        if not self._regexp:
            return column.is_in(list(values))
        return pl.any_horizontal([column.str.contains(value) for value in values])

    def _kind(self, kinds: Sequence[str]) -> pl.Expr:
        if not self._regexp:
            return self._column("span.kind").is_in([_kind_number(kind) for kind in kinds])
        names = self._column("span.kind").replace_strict(
            dict(enumerate(f"SPAN_KIND_{name}" for name in _KINDS)),
            default=None,
            return_dtype=pl.String,
        )
        return self._string(names, kinds)

    def _severity(self, wanted: SeverityMatch) -> pl.Expr:
        number = self._column("log.severity_number")
        undefined = number == 0
        return pl.when(undefined).then(wanted.match_undefined).otherwise(number >= wanted.min)

    def _library(self, wanted: LibraryMatch) -> pl.Expr:
        name = self._string(self._column("scope.name"), [wanted.name])
        if wanted.version is None:
            return name
        return name & self._string(self._column("scope.version"), [wanted.version])

    def _attribute(self, attributes: str, wanted: AttributeMatch) -> pl.Expr:
        path = attribute_path(attributes, wanted.key)
        value = wanted.value
        if value is None:
            return self._column(f"kind({path})").is_not_null()
        if self._regexp:
            return self._column(f"{path}:text").str.contains(str(value))
        suffix = {bool: ":bool", int: ":int", float: ":double"}.get(type(value), "")
        return self._column(path + suffix) == value


class Selection:
    """The items that ``include`` lets in and ``exclude`` leaves out."""

    def __init__(self, include: Match | None, exclude: Match | None) -> None:
        self._include = Matcher(include) if include else None
        self._exclude = Matcher(exclude) if exclude else None

    def rows(self, batch: Batch) -> pl.Series | None:
        """Return one boolean per item, or None when all are selected without looking."""
        if self._include is None and self._exclude is None:
            return None
        if self._include is None:
            assert self._exclude is not None, "one of the two is there"
            return ~self._exclude.rows(batch)
        rows = self._include.rows(batch)
        return rows if self._exclude is None else rows & ~self._exclude.rows(batch)


def _fault(pattern: str) -> str | None:
    """Return what is wrong with a pattern for the engine that will run it: linear time, as RE2."""
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError as error:
        lines = [line for line in str(error).splitlines() if line.startswith("error: ")]
        return lines[0].removeprefix("error: ") if lines else "it is too large"
    return None


def _kind_number(kind: str) -> int | None:
    name = kind.upper().removeprefix("SPAN_KIND_")
    return _KINDS.index(name) if name in _KINDS else None


def _name(signal: Signal) -> str:
    return str(signal).rpartition(".")[2].lower()
