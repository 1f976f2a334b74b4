"""OpenTelemetry names in Prometheus: metrics, units, labels, and the escaping of a scrape.

Spec: Prometheus and OpenMetrics Compatibility (metric metadata, metric attributes); the words are
those of prometheus/otlptranslator, so that both collectors give a series the same name.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds",
    "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tebibytes", "KBy": "kilobytes", "kBy": "kilobytes", "MBy": "megabytes",
    "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
PER_UNITS = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
}  # fmt: skip

_TOKEN = re.compile(r"[a-zA-Z0-9:]+")
_WORD = re.compile(r"[a-zA-Z0-9_:]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9]+")
_PLAIN_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PLAIN_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Strategy(StrEnum):
    """How names are translated; the values are the Go collector's."""

    ESCAPE_AND_SUFFIX = "UnderscoreEscapingWithSuffixes"
    ESCAPE = "UnderscoreEscapingWithoutSuffixes"
    SUFFIX = "NoUTF8EscapingWithSuffixes"
    NONE = "NoTranslation"

    @property
    def escapes(self) -> bool:
        """Whether names become ASCII letters, digits and underscores."""
        return self in (Strategy.ESCAPE_AND_SUFFIX, Strategy.ESCAPE)

    @property
    def suffixes(self) -> bool:
        """Whether unit and type are appended to metric names."""
        return self in (Strategy.ESCAPE_AND_SUFFIX, Strategy.SUFFIX)


class Escaping(StrEnum):
    """What a scrape wants done to names outside the classic alphabet; the values are Accept's."""

    NONE = "allow-utf-8"
    UNDERSCORES = "underscores"
    DOTS = "dots"
    VALUES = "values"


@lru_cache(maxsize=1024)
def split_unit(unit: str) -> tuple[str, str]:
    """Return the words of a UCUM unit: what is measured, and ``per_…``; both may be empty.

    What stands in braces is an annotation, not a unit.
    """
    main, _, per = (part.strip() for part in unit.partition("/"))
    main = "" if set("{}") & set(main) else UNITS.get(main, main)
    per = "" if set("{}") & set(per) else PER_UNITS.get(per, per)
    return main, f"per_{per}" if per else ""


@dataclass(frozen=True)
class Namer:
    """Names of one configuration."""

    namespace: str = ""
    strategy: Strategy = Strategy.ESCAPE_AND_SUFFIX

    def unit(self, unit: str) -> str:
        """Return the unit as it ends a metric's name: ``bytes_per_second``; may be empty."""
        parts = split_unit(unit)
        if self.strategy.escapes:
            parts = _ascii(parts[0]), _ascii(parts[1])
        return "_".join(part for part in parts if part)

    def metric(self, name: str, unit: str, *, counter: bool = False, gauge: bool = False) -> str:
        """Return the name of a metric's family.

        Args:
            counter: a monotonic sum, which ends in ``_total``.
            gauge: a gauge, which ends in ``_ratio`` when its unit is 1.
        Raises: ValueError when nothing is left of the name.
        """
        kind = "total" if counter else "ratio" if gauge and unit == "1" else ""
        if not self.strategy.escapes:
            named = f"{self.namespace}_{name}" if self.namespace else name
            full = _suffixed(named, unit, kind) if self.strategy.suffixes else named
        elif self.strategy.suffixes:
            full = self._ascii_suffixed(name, unit, kind)
        else:
            full = self._ascii_only(name)
        if not name or not full or (full != name and not full.strip("_")):
            raise ValueError(f"nothing is left of the name {name!r}")
        return full

    def label(self, key: str) -> str:
        """Return the label of an attribute; empty when nothing is left of it.

        ``__name__`` would rename the series, so it becomes ``exported_name``.
        """
        if key == "__name__":
            return "exported_name"
        if not self.strategy.escapes:
            return key if key.strip("_") else ""
        label = _NOT_LABEL.sub("_", key)
        if label == "_":
            return ""
        return f"key_{label}" if label[:1].isdigit() else label

    def _ascii_suffixed(self, name: str, unit: str, kind: str) -> str:
        tokens = _TOKEN.findall(name)
        for part in split_unit(unit):
            word = _ascii(part)
            if word and word not in tokens and not "_".join(tokens).endswith(f"_{word}"):
                tokens.append(word)
        if kind:
            tokens = [token for token in tokens if token != kind] + [kind]
        if self.namespace:
            tokens.insert(0, "_".join(_TOKEN.findall(self.namespace)))
        return _not_a_digit("_".join(tokens))

    def _ascii_only(self, name: str) -> str:
        plain = "_".join(_WORD.findall(name))
        if self.namespace:
            return _not_a_digit("_".join((*_WORD.findall(self.namespace), plain)))
        return _not_a_digit(plain)


def _suffixed(name: str, unit: str, kind: str) -> str:
    main, per = split_unit(unit)
    for suffix in (kind, per):
        name = _without(name, suffix)
    if main and not name.endswith(main):
        name = f"{name}_{main}"
    return "_".join(part for part in (name, per, kind) if part)


def _without(name: str, suffix: str) -> str:
    """Cut ``suffix`` and the delimiter before it, unless nothing would be left."""
    if suffix and name.endswith(suffix) and len(name) > len(suffix) + 1:
        return name[: -len(suffix) - 1]
    return name


def _ascii(unit: str) -> str:
    return "_".join(_TOKEN.findall(unit))


def _not_a_digit(name: str) -> str:
    return f"_{name}" if name[:1].isdigit() else name


@lru_cache(maxsize=65536)
def plain_metric(name: str) -> bool:
    """Whether every scraper can read the metric's name without quotes."""
    return _PLAIN_METRIC.fullmatch(name) is not None


@lru_cache(maxsize=65536)
def plain_label(name: str) -> bool:
    """Whether every scraper can read the label's name without quotes."""
    return _PLAIN_LABEL.fullmatch(name) is not None


def escape_metric(name: str, escaping: Escaping) -> str:
    """Return the metric's name as a scrape with this escaping has to see it."""
    return name if plain_metric(name) else _escape(name, escaping, ":")


def escape_label(name: str, escaping: Escaping) -> str:
    """Return the label's name as a scrape with this escaping has to see it."""
    return name if plain_label(name) else _escape(name, escaping, "")


@lru_cache(maxsize=65536)
def _escape(name: str, escaping: Escaping, also: str) -> str:
    if escaping is Escaping.NONE:
        return name
    start = "U__" if escaping is Escaping.VALUES else ""
    return start + "".join(
        char if _is_plain(char, at, also) else _escape_char(char, escaping)
        for at, char in enumerate(name)
    )


def _is_plain(char: str, at: int, also: str) -> bool:
    return char.isascii() and (char.isalpha() or char in also or (char.isdigit() and at > 0))


def _escape_char(char: str, escaping: Escaping) -> str:
    match escaping:
        case Escaping.DOTS:
            return "_dot_" if char == "." else "__"
        case Escaping.VALUES:
            return "__" if char == "_" else f"_{ord(char):x}_"
        case _:
            return "_"
