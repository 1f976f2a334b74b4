"""The text expositions: classic (0.0.4, 1.0.0) and OpenMetrics (0.0.1, 1.0.0).

What never changes of a series (name, labels, bounds) is written once and kept with it. OpenMetrics'
``_created`` samples are left out: Prometheus would keep each as one more series.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate

from heliograph.exporters._prometheus.labels import Labels, escape_labels
from heliograph.exporters._prometheus.naming import plain_label, plain_metric
from heliograph.exporters._prometheus.negotiate import Format, Style
from heliograph.exporters._prometheus.points import (
    Exponential,
    Histogram,
    Summary,
    bucket_of,
    classic,
)
from heliograph.exporters._prometheus.series import Exemplar, Series
from heliograph.exporters._prometheus.view import View

_SPECIAL = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def number(value: float) -> str:
    """Write a sample's value."""
    text = repr(value)
    return _SPECIAL.get(text, text)


def bound(value: float, format: Format) -> str:
    """Write the value of ``le`` or ``quantile`` as Go does: it tells one series from another."""
    if not math.isfinite(value):
        return number(value)
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        text = repr(float(value))
        return text.removesuffix(".0") if format is Format.TEXT else text
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    first, *rest = map(str, digits)
    mantissa = f"{'-' * sign}{first}{'.' * bool(rest)}{''.join(rest)}"
    return f"{mantissa}e{int(exponent) + len(rest):+03d}"


def write(views: Iterable[View], style: Style, *, timestamps: bool = False) -> Iterator[bytes]:
    """Yield the exposition in pieces that each take a moment; between them the loop may run."""
    writer = _Writer(style, timestamps)
    for view in views:
        yield writer.header(view).encode()
        for series in view.slices():
            yield "".join(writer.samples(view, series)).encode()
    if style.format is Format.OPENMETRICS:
        yield b"# EOF\n"


class _Writer:
    """Lines of one scrape."""

    def __init__(self, style: Style, timestamps: bool) -> None:
        self._format = style.format
        self._escaping = style.escaping
        self._openmetrics = style.format is Format.OPENMETRICS
        self._timestamps = timestamps
        self._key = f"{style.format} {style.escaping}"

    def header(self, view: View) -> str:
        type = view.type
        if self._openmetrics:
            type = {"untyped": "unknown"}.get(type, type)
        elif type == "info":
            type = "gauge"
        name = view.name if plain_metric(view.name) else quoted(view.name)
        lines = [f"# TYPE {name} {type}\n"]
        if view.help:
            text = view.help.replace("\\", "\\\\").replace("\n", "\\n")
            text = text.replace('"', '\\"') if self._openmetrics else text
            lines.insert(0, f"# HELP {name} {text}\n")
        if view.unit and self._openmetrics:
            lines.append(f"# UNIT {name} {view.unit}\n")
        return "".join(lines)

    def samples(self, view: View, several: Iterable[Series]) -> Iterator[str]:
        key, stamps = self._key, self._timestamps
        exemplars = self._openmetrics and view.type == "counter"
        for series in several:
            point = series.point
            if point is None:
                continue
            if isinstance(point, Histogram):
                yield from self._histogram(view, series, point)
            elif isinstance(point, Exponential):
                yield from self._histogram(view, series, classic(point))
            elif isinstance(point, Summary):
                yield from self._summary(view, series, point)
            else:
                prefix = series.cache.get(key)
                if prefix is None:
                    prefix = series.cache[key] = self._prefix(view.sample, series.labels)
                text = repr(point)
                stamp = self._stamp(series) if stamps else ""
                tail = self._exemplar(series.exemplars.get(0)) if exemplars else ""
                yield f"{prefix}{_SPECIAL.get(text, text)}{stamp}{tail}\n"

    def _histogram(self, view: View, series: Series, point: Histogram) -> Iterator[str]:
        prefixes, more = self._prefixes(view, series, point.bounds, "_bucket", "le")
        stamp = self._stamp(series)
        exemplars: Mapping[int, Exemplar] = {}
        if self._openmetrics and series.exemplars:
            known = sorted(series.exemplars.values(), key=lambda exemplar: exemplar.time)
            exemplars = {bucket_of(found.value, point.bounds): found for found in known}
        for at, (prefix, count) in enumerate(zip(prefixes, accumulate(point.counts), strict=False)):
            yield f"{prefix}{count}{stamp}{self._exemplar(exemplars.get(at))}\n"
        last = self._exemplar(exemplars.get(len(point.bounds)))
        yield f"{more[0]}{point.size}{stamp}{last}\n"
        if point.sum is not None:
            yield f"{more[1]}{number(point.sum)}{stamp}\n"
        yield f"{more[2]}{point.size}{stamp}\n"

    def _summary(self, view: View, series: Series, point: Summary) -> Iterator[str]:
        quantiles = [quantile for quantile, _ in point.quantiles]
        prefixes, more = self._prefixes(view, series, quantiles, "", "quantile")
        stamp = self._stamp(series)
        for prefix, (_, value) in zip(prefixes, point.quantiles, strict=False):
            yield f"{prefix}{number(value)}{stamp}\n"
        if point.sum is not None:
            yield f"{more[1]}{number(point.sum)}{stamp}\n"
        yield f"{more[2]}{point.size}{stamp}\n"

    def _prefixes(
        self, view: View, series: Series, bounds: Sequence[float], suffix: str, label: str
    ) -> tuple[list[str], tuple[str, str, str]]:
        """Return what stands before the values: one for each finite bound; +Inf, sum and count."""
        held = series.cache.get(self._key)
        if isinstance(held, tuple) and (held[0] is bounds or held[0] == bounds):
            return held[1], held[2]
        each = [
            self._prefix(f"{view.sample}{suffix}", series.labels, label, value)
            for value in bounds
            if math.isfinite(value)
        ]
        more = (
            self._prefix(f"{view.sample}{suffix}", series.labels, label, math.inf),
            self._prefix(f"{view.sample}_sum", series.labels),
            self._prefix(f"{view.sample}_count", series.labels),
        )
        series.cache[self._key] = (bounds, each, more)
        return each, more

    def _prefix(self, name: str, labels: Labels, extra: str = "", value: float = 0.0) -> str:
        parts = [] if plain_metric(name) else [quoted(name)]
        parts += self._pairs(labels)
        if extra:
            parts.append(f'{extra}="{bound(value, self._format)}"')
        inside = f"{{{','.join(parts)}}}" if parts else ""
        return f"{name}{inside} " if plain_metric(name) else f"{inside} "

    def _pairs(self, labels: Labels) -> list[str]:
        return [
            f"{name if plain_label(name) else quoted(name)}={quoted(value)}"
            for name, value in escape_labels(labels, self._escaping)
        ]

    def _stamp(self, series: Series) -> str:
        if not self._timestamps:
            return ""
        if self._openmetrics:
            return f" {series.time // 10**9}.{series.time // 10**6 % 1000:03}"
        return f" {series.time // 10**6}"

    def _exemplar(self, exemplar: Exemplar | None) -> str:
        if exemplar is None:
            return ""
        pairs = ",".join(self._pairs(exemplar.labels))
        time = f" {exemplar.time // 10**9}.{exemplar.time % 10**9:09}" if exemplar.time else ""
        return f" # {{{pairs}}} {number(exemplar.value)}{time}"


def quoted(text: str) -> str:
    """Write a label's value, or a name that needs it, in quotes."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{text}"'
