"""Values of OTLP/JSON as the Go collector prints them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Json = Mapping[str, Any]
"""A message of OTLP/JSON; what is absent has its default."""

TYPES = {
    "stringValue": "Str",
    "boolValue": "Bool",
    "intValue": "Int",
    "doubleValue": "Double",
    "arrayValue": "Slice",
    "kvlistValue": "Map",
    "bytesValue": "Bytes",
}


def number(value: Any) -> float:
    """A double of OTLP/JSON, whose NaN and infinities are strings."""
    return float(value)


def shortest(value: float, smallest: float = 1e-4) -> str:
    """The fewest digits that tell this number from its neighbours, as Go's ``%v``.

    Below ``smallest`` and from 1e21 on with an exponent.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    if smallest <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return repr(value)


def fixed(value: Any) -> str:
    """Six decimals, as Go's ``%f``."""
    real = number(value)
    return f"{real:.6f}" if math.isfinite(real) else shortest(real)


def timestamp(nanoseconds: Any) -> str:
    """A time as Go prints it: ``2020-02-11 20:26:12.000000321 +0000 UTC``."""
    seconds, fraction = divmod(int(nanoseconds), 1_000_000_000)
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    decimals = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{text}{decimals} +0000 UTC"


def kind(value: Json) -> str:
    """The name that Go has for the type of an AnyValue."""
    return next((TYPES[name] for name in value if name in TYPES), "Empty")


def text(value: Json) -> str:
    """An AnyValue as Go's ``AsString``."""
    form = kind(value)
    if form in ("Map", "Slice"):
        return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if form == "Bool":
        return "true" if value["boolValue"] else "false"
    if form == "Double":
        return _json_number(number(value["doubleValue"]))
    return next((str(value[name]) for name in value if name in TYPES), "")


def plain(value: Json) -> Any:
    """An AnyValue as a value of plain JSON; bytes are base64."""
    form = next((name for name in value if name in TYPES), None)
    return _PLAIN[form](value[form]) if form is not None else None


def _plain_number(value: Any) -> int | float:
    real = number(value)
    return int(real) if real.is_integer() and abs(real) < 1e21 else real


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "stringValue": lambda value: value,
    "boolValue": lambda value: value,
    "intValue": int,
    "doubleValue": _plain_number,
    "bytesValue": lambda value: value,
    "arrayValue": lambda value: [plain(inner) for inner in value.get("values", ())],
    "kvlistValue": lambda value: {
        entry.get("key", ""): plain(entry.get("value", {})) for entry in value.get("values", ())
    },
}


def typed(value: Json) -> str:
    """``Str(x)``, ``Int(1)``, …"""
    return f"{kind(value)}({text(value)})"


def pairs(attributes: Sequence[Json]) -> list[str]:
    """``key=value`` of each attribute."""
    return [f"{entry.get('key', '')}={text(entry.get('value', {}))}" for entry in attributes]


def _json_number(value: float) -> str:
    """As Go writes a number in JSON: an exponent below 1e-6, without a leading zero."""
    digits = shortest(value, 1e-6)
    return digits.replace("e-0", "e-")
