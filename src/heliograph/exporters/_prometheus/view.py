"""The families as one scrape names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heliograph.exporters._prometheus.labels import Labels, escape_labels
from heliograph.exporters._prometheus.naming import Escaping, escape_metric
from heliograph.exporters._prometheus.negotiate import Format, Style
from heliograph.exporters._prometheus.series import Series
from heliograph.exporters._prometheus.state import Family

SLICE = 500
"""Series written at a stretch."""


@dataclass(frozen=True)
class View:
    """A family under the names of one scrape.

    ``name`` stands in the comments, ``sample`` before the values; they differ where OpenMetrics
    takes ``_total`` for a suffix. ``unit`` is empty where the name does not end in it.
    """

    name: str
    sample: str
    type: str
    help: str
    unit: str
    series: Sequence[Series]

    def slices(self) -> Iterator[Sequence[Series]]:
        """Yield the series, so many at a time."""
        for start in range(0, len(self.series), SLICE):
            yield self.series[start : start + SLICE]


def views(
    families: Sequence[Family], info_name: str, targets: Sequence[Labels], style: Style
) -> Iterator[View]:
    """Yield ``target_info``, then the families in order of their names.

    Escaping may make two names one: such families are shown as one, the series of the first where
    the labels fall together too; one of another type is left out.
    """
    openmetrics = style.format is Format.OPENMETRICS
    escaped: dict[str, list[Family]] = {}
    for family in families:
        escaped.setdefault(escape_metric(family.name, style.escaping), []).append(family)
    if targets:
        sample = escape_metric(info_name, style.escaping)
        name = sample.removesuffix("_info") if openmetrics else sample
        yield View(name, sample, "info", "Target metadata", "", [_info(x) for x in targets])
    for sample, alike in escaped.items():
        first = alike[0]
        same = [family for family in alike if family.type == first.type]
        name, type = sample, first.type
        stem = sample.removesuffix("_total") if type == "counter" else sample
        if openmetrics and type == "counter":
            if stem in escaped or stem in ("", sample):
                type = "untyped"
            else:
                name = stem
        unit = first.unit if first.unit and stem.endswith(f"_{first.unit}") else ""
        unit = unit if type == first.type else ""
        series = _distinct(same, style.escaping)
        yield View(name, sample, type, first.help, unit, series)


def _distinct(families: Sequence[Family], escaping: Escaping) -> Sequence[Series]:
    if len(families) == 1:
        series = families[0].inventory()
        if families[0].plain or escaping is Escaping.NONE:
            return series
    found: dict[Labels, Series] = {}
    for family in families:
        for each in family.inventory():
            found.setdefault(escape_labels(each.labels, escaping), each)
    return list(found.values())


def _info(labels: Labels) -> Series:
    series = Series(labels)
    series.point = 1
    return series
