"""Reading environment variables as the specification asks: empty is unset, and a value that cannot
be used is one warning and no error.

Spec: Environment Variable Specification.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

_log = logging.getLogger("heliograph.sdk")

_said: set[tuple[str, str]] = set()


def text(name: str) -> str:
    """Return a variable without the blanks around it; empty when it is not set."""
    return os.environ.get(name, "").strip()


def flag(name: str, default: bool = False) -> bool:
    """Return a variable that is true or false, in any case of letters."""
    found = text(name).lower()
    if found in {"", "true", "false"}:
        return default if not found else found == "true"
    warn(name, found, "true or false", default)
    return default


def number(name: str, default: float | None, *, least: float = 0) -> float | None:
    """Return a variable that is a number from ``least`` on, whole where it is written so."""
    found = text(name)
    if not found:
        return default
    try:
        value: float = int(found)
    except ValueError:
        try:
            value = float(found)
        except ValueError:
            value = float("nan")
    if value >= least:
        return value
    warn(name, found, f"a number that is not below {least:g}", default)
    return default


def choice(name: str, allowed: Iterable[str], default: str) -> str:
    """Return a variable that is one of these names, in any case of letters."""
    found, names = text(name).lower(), tuple(allowed)
    if not found or found in names:
        return found or default
    warn(name, found, ", ".join(names), default)
    return default


def names(name: str) -> list[str]:
    """Return a variable that lists names with commas between, each of them once."""
    return list(dict.fromkeys(filter(None, (part.strip() for part in text(name).split(",")))))


def warn(name: str, value: str, allowed: str, default: object) -> None:
    """Say that a value is not used, once for each value of a variable."""
    if (name, value) not in _said:
        _said.add((name, value))
        shown = "nothing" if default is None else default
        _log.warning("%s is %r, not %s; using %s", name, value, allowed, shown)
