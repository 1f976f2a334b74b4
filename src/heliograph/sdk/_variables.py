"""Reading environment variables as the specification asks: empty is unset, and a value that cannot
be used is one warning and no error.

Spec: Environment Variable Specification; Common Configuration Specification.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import overload

_log = logging.getLogger("heliograph.sdk")

_said: set[tuple[str, str]] = set()

NO_LIMIT = 2**31 - 1
"""Milliseconds that stand for no limit."""


_unread: ContextVar[bool] = ContextVar("unread", default=False)


@contextmanager
def unread() -> Iterator[None]:
    """Let every variable be unset: a declarative file says everything.

    Spec: Environment Variable Specification, Declarative configuration.
    """
    before = _unread.set(True)
    try:
        yield
    finally:
        _unread.reset(before)


def text(name: str) -> str:
    """Return a variable without the blanks around it; empty when it is not set."""
    return "" if _unread.get() else os.environ.get(name, "").strip()


def flag(name: str, default: bool = False) -> bool:
    """Return a variable that is true or false, in any case of letters."""
    found = text(name)
    if found.lower() in {"", "true", "false"}:
        return default if not found else found.lower() == "true"
    warn(name, found, "not true or false", str(default).lower())
    return default


def is_disabled() -> bool:
    """Return what ``OTEL_SDK_DISABLED`` says."""
    return flag("OTEL_SDK_DISABLED")


@overload
def integer(name: str, default: int, *, least: int = 0, most: int = NO_LIMIT) -> int: ...
@overload
def integer(
    name: str, default: int | None, *, least: int = 0, most: int = NO_LIMIT
) -> int | None: ...
def integer(name: str, default: int | None, *, least: int = 0, most: int = NO_LIMIT) -> int | None:
    """Return a variable that is a whole number within bounds, both included."""
    found = text(name)
    if not found:
        return default
    try:
        value = int(found)
    except ValueError:
        value = least - 1
    if least <= value <= most:
        return value
    bounds = f"from {least} on" if most == NO_LIMIT else f"from {least} to {most}"
    warn(name, found, f"not a whole number {bounds}", "no limit" if default is None else default)
    return default


def timeout(name: str, default: int) -> int:
    """Return milliseconds; a variable that is 0 means no limit."""
    return integer(name, default) or NO_LIMIT


def choice(name: str, allowed: Iterable[str], default: str) -> str:
    """Return a variable that is one of these names, in any case of letters."""
    found, names = text(name), tuple(allowed)
    if not found or found.lower() in names:
        return found.lower() or default
    warn(name, found, f"not one of {', '.join(names)}", default)
    return default


def names(name: str) -> list[str]:
    """Return a variable that lists names with commas between, each of them once."""
    return list(dict.fromkeys(filter(None, (part.strip() for part in text(name).split(",")))))


def warn(name: str, value: str, wrong: str, used: object) -> None:
    """Say that a value is not used, once for each value of a variable."""
    if (name, value) not in _said:
        _said.add((name, value))
        _log.warning("%s is %r, %s; using %s", name, value, wrong, used)
