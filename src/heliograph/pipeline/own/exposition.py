"""The metrics as a scraper reads them: Prometheus' classic text, or OpenMetrics.

Names are as the Go collector gives them: without ``_total`` and units, unless the reader is
configured otherwise. OpenMetrics cannot say that of a counter, so whoever takes both, as Prometheus
does, gets the classic text, and dashboards keep their names.
Spec: Prometheus exposition formats, OpenMetrics 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isnan

from heliograph.pipeline.own.known import Metric, known, shown
from heliograph.pipeline.telemetry import Histogram, Labels, Reading

_OPEN = "application/openmetrics-text"
_UTF8 = "allow-utf-8"
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_KINDS = {"counter": "counter", "gauge": "gauge", "sum": "gauge", "histogram": "histogram"}
_UNITS = {"s": "seconds", "By": "bytes"}


@dataclass(frozen=True)
class Style:
    """How metrics are written.

    ``utf8`` leaves names with dots as they are, in quotes; ``total`` and ``units`` put type and
    unit behind a name.
    """

    open_metrics: bool = False
    utf8: bool = False
    total: bool = False
    units: bool = False

    @property
    def content_type(self) -> str:
        """What the answer says it is."""
        escaping = _UTF8 if self.utf8 else "underscores"
        kind = f"{_OPEN}; version=1.0.0" if self.open_metrics else "text/plain; version=0.0.4"
        return f"{kind}; charset=utf-8; escaping={escaping}"


def negotiate(accept: str, *, total: bool, units: bool) -> Style:
    """Return how to answer a request with this ``Accept`` header."""
    types: dict[str, str] = {}
    for clause in accept.lower().split(","):
        name, _, parameters = clause.strip().partition(";")
        if "q=0" not in parameters.replace("q=0.", ""):
            types.setdefault(name.strip(), parameters)
    text = not accept or bool(types.keys() & {"text/plain", "text/*", "*/*"})
    open_metrics = _OPEN in types and (total or not text)
    parameters = types.get(_OPEN if open_metrics else "text/plain", "").replace(" ", "")
    return Style(open_metrics, f"escaping={_UTF8}" in parameters, total, units)


def exposition(
    readings: Iterable[Reading], resource: Mapping[str, str], style: Style, level: str
) -> Iterator[str]:
    """Yield the page, a family at a time."""
    for reading in readings:
        metric = known(reading.name, grows=reading.grows)
        if shown(level, metric):
            yield "".join(_family(reading, metric, style))
    name = "target" if style.open_metrics else "target_info"
    kind = "info" if style.open_metrics else "gauge"
    labels = _labels(tuple(sorted(resource.items())), style)
    yield f"# HELP {name} This program.\n# TYPE {name} {kind}\ntarget_info{labels} 1\n"
    if style.open_metrics:
        yield "# EOF\n"


def _family(reading: Reading, metric: Metric, style: Style) -> Iterator[str]:
    kind = _KINDS[metric.kind]
    name = _NOT_NAME.sub("_", reading.name)
    unit = _UNITS.get(metric.unit, "") if style.units else ""
    if unit and unit not in name.split("_"):
        name = f"{name}_{unit}"
    total = kind == "counter" and (style.total or style.open_metrics)
    name = name.removesuffix("_total") if total else name
    sample = f"{name}_total" if total else name
    family = name if style.open_metrics else sample
    if metric.text:
        yield f"# HELP {family} {metric.text}\n"
    yield f"# TYPE {family} {kind}\n"
    for labels, value in reading.values:
        if isinstance(value, Histogram):
            yield from _histogram(name, labels, value, style)
        else:
            yield f"{sample}{_labels(labels, style)} {number(value)}\n"


def _histogram(name: str, labels: Labels, histogram: Histogram, style: Style) -> Iterator[str]:
    count = 0
    write = float.__repr__ if style.open_metrics else number
    bounds = [*(write(float(bound)) for bound in histogram.bounds), "+Inf"]
    for bound, inside in zip(bounds, list(histogram.counts), strict=True):
        count += inside
        yield f"{name}_bucket{_labels((*labels, ('le', bound)), style)} {count}\n"
    yield f"{name}_sum{_labels(labels, style)} {number(histogram.total)}\n"
    yield f"{name}_count{_labels(labels, style)} {count}\n"


def _labels(labels: Labels, style: Style) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{_label(name, style)}="{_value(v)}"' for name, v in labels) + "}"


def _label(name: str, style: Style) -> str:
    plain = _NOT_LABEL.sub("_", name)
    if plain == name:
        return name
    return f'"{_value(name)}"' if style.utf8 else plain


def _value(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number(value: float) -> str:
    """Return a number as both formats write it; whole ones without a fraction."""
    if isnan(value):
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
