"""Names as Prometheus has them."""

from __future__ import annotations

import re

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
