"""Names as Prometheus has them."""

from __future__ import annotations

import re
from typing import Literal, get_args

Translation = Literal[
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
]

_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
    "1": "",
}
_PER = {
    "s": "second",
    "min": "minute",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}


class Names:
    """How names are made. Raises: ValueError for another strategy.

    Spec: Prometheus Exporter, Translation Strategy.
    """

    def __init__(self, strategy: Translation) -> None:
        if strategy not in get_args(Translation):
            known = ", ".join(get_args(Translation))
            raise ValueError(f"translation_strategy is {strategy!r}, none of {known}")
        self.with_suffixes = strategy.endswith("WithSuffixes")
        self._escaped = strategy.startswith("Underscore")

    def of_metric(self, name: str, unit: str, kind: str) -> tuple[str, str]:
        """Return the name of a family and the unit it ends with; both as the type ``kind`` wants
        it, a counter's without ``_total``."""
        if self._escaped:
            name = metric_name(name)
        if not self.with_suffixes:
            return name, ""
        suffix = unit_name(unit)
        if kind == "counter":
            name = name.removesuffix("_total")
        if suffix and not name.endswith(f"_{suffix}"):
            name = f"{name}_{suffix}"
        return name, suffix

    def of_label(self, key: str) -> str:
        """Return the name of a label."""
        return label_name(key) if self._escaped else key


def metric_name(name: str) -> str:
    """Return a name of letters, digits, ``_`` and ``:`` that begins with no digit."""
    return _clean(name, r"[^a-zA-Z0-9_:]+")


def label_name(key: str) -> str:
    """Return a name of letters, digits and ``_`` that begins with no digit."""
    return _clean(key, r"[^a-zA-Z0-9_]")


def unit_name(unit: str) -> str:
    """Return a unit in full words, as in ``bytes_per_second``; annotations in braces are none."""
    unit = re.sub(r"\{[^}]*\}", "", unit).strip()
    if "/" in unit:
        whole, _, part = unit.partition("/")
        part = _PER.get(part, part)
        per = f"per_{_clean(part, r'[^a-zA-Z0-9]+')}" if part else ""
        return "_".join(word for word in (unit_name(whole), per) if word)
    return _UNITS.get(unit, _clean(unit, r"[^a-zA-Z0-9]+") if unit else "")


def _clean(name: str, wrong: str) -> str:
    cleaned = re.sub(wrong, "_", name)
    return f"_{cleaned}" if cleaned[:1].isdigit() else cleaned
