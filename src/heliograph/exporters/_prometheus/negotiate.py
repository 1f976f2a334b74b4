"""What a scraper gets: its ``Accept`` header against what we can write.

Spec: Prometheus content negotiation. Whoever asks for nothing we know gets the classic text. The
escaping is the chosen clause's. Prometheus names none for protobuf, whose names need no quotes;
there it gets UTF-8 when it says with another format that it reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from heliograph.exporters._prometheus.naming import Escaping


class Format(StrEnum):
    """An exposition format; the value is its media type."""

    TEXT = "text/plain"
    OPENMETRICS = "application/openmetrics-text"
    PROTOBUF = "application/vnd.google.protobuf"


class Style(NamedTuple):
    """How one scrape wants the metrics."""

    format: Format
    version: str
    escaping: Escaping

    @property
    def content_type(self) -> str:
        """The answer's ``Content-Type``."""
        if self.format is Format.PROTOBUF:
            kind = "proto=io.prometheus.client.MetricFamily; encoding=delimited"
        else:
            kind = f"version={self.version}; charset=utf-8"
        return f"{self.format}; {kind}; escaping={self.escaping}"


_VERSIONS = {Format.TEXT: ("0.0.4", "1.0.0"), Format.OPENMETRICS: ("0.0.1", "1.0.0")}
"""Versions we write; the first is meant where the scraper names none."""
_PROTOBUF = {"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"}


def negotiate(accept: str, *, openmetrics: bool = True) -> Style:
    """Return the best of what an ``Accept`` header allows."""
    clauses = list(_clauses(accept))
    for media, parameters in clauses:
        escaping = _escaping(parameters)
        if media in ("*/*", "text/*"):
            return Style(Format.TEXT, "0.0.4", escaping)
        if media == Format.PROTOBUF and parameters.items() >= _PROTOBUF.items():
            said = {_escaping(others) for _, others in clauses}
            if "escaping" not in parameters and Escaping.NONE in said:
                escaping = Escaping.NONE
            return Style(Format.PROTOBUF, "", escaping)
        for format, versions in _VERSIONS.items():
            version = parameters.get("version", versions[0])
            refused = format is Format.OPENMETRICS and not openmetrics
            if media == format and version in versions and not refused:
                return Style(format, version, escaping)
    return Style(Format.TEXT, "0.0.4", Escaping.UNDERSCORES)


def _escaping(parameters: Mapping[str, str]) -> Escaping:
    try:
        return Escaping(parameters.get("escaping", "underscores"))
    except ValueError:
        return Escaping.UNDERSCORES


def _clauses(accept: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield media type and parameters, what is wanted most first."""
    found: list[tuple[float, int, int, str, dict[str, str]]] = []
    for clause in accept.split(","):
        media, *rest = (part.strip() for part in clause.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        if quality > 0:
            found.append((-quality, media.count("*"), len(found), media.lower(), parameters))
    for *_, media, parameters in sorted(found, key=lambda clause: clause[:3]):
        yield media, parameters
