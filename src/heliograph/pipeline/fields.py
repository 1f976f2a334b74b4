"""Types of configuration values: what a string in YAML means, in the units the code works in."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr
from pydantic import Field as _Field

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_BYTES = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "kib": 2**10,
    "m": 10**6, "mb": 10**6, "mib": 2**20,
    "g": 10**9, "gb": 10**9, "gib": 2**30,
    "t": 10**12, "tb": 10**12, "tib": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def Field(default: Any = ..., *, description: str, unit: str | None = None, **options: Any) -> Any:
    """Describe an option; as pydantic's ``Field``, with the unit of a plain number."""
    if unit is not None:
        options["json_schema_extra"] = {"unit": unit}
    return _Field(default, description=description, **options)


def parse_duration(value: object) -> float:
    """Return seconds from Go's notation (``1h30m``, ``200ms``, ``1.5s``); 0 needs no unit.

    Raises: ValueError for any other number: without a unit the Go collector takes nanoseconds,
        which nobody means.
    """
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"is {value} without a unit; write '{value}s' or '{value}ms'")
    text = value.strip() if isinstance(value, str) else ""
    if text in ("0", "+0", "-0"):
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError("is not a duration; write a number and a unit, such as 200ms, 5s or 1h30m")
    total = sum(float(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text))
    return (-total if text.startswith("-") else total) / 1e9


def parse_size(value: object) -> int:
    """Return bytes from ``4MiB``, ``64 kB`` or a plain number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError("is not a size; write bytes or a unit, such as 512KiB or 4MiB")
    return int(float(match[1]) * _BYTES[match[2].lower()])


Seconds = float
Duration = Annotated[
    Seconds,
    BeforeValidator(parse_duration, json_schema_input_type=str),
]
"""Seconds; written with a unit (``200ms``)."""

ByteSize = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str | int)]
"""Bytes; written as a number or with a unit (``4MiB``)."""

Secret = SecretStr
"""A value that print-config, logs and errors show as ``**********``."""


def parse_headers(value: object) -> object:
    """Return a map from either notation: ``{name: value}`` or ``[{name: …, value: …}]``."""
    if isinstance(value, list) and all(
        isinstance(entry, dict) and set(entry) == {"name", "value"} for entry in value
    ):
        return {entry["name"]: entry["value"] for entry in value}
    return value


Headers = Annotated[dict[str, Secret], BeforeValidator(parse_headers)]
"""Header names to values. The values are secrets: ``get_secret_value()`` where they are sent."""
