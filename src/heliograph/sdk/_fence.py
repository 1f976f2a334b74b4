"""Keeps what goes wrong inside the SDK, and in what others wrote for it, out of the program."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.attributes import BoundedAttributes

_log = logging.getLogger("heliograph.sdk")

AGAIN = 10.0
"""Seconds in which the same failure is said once."""

MOST = 200
"""Failures that are told apart."""

_said: dict[Any, list[float]] = {}
"""By what failed and where: when that was said, and how often it has happened since."""


def failed(what: str, error: BaseException) -> None:
    """Say that something raised; the same failure again after `AGAIN` at the earliest."""
    last = [(one.filename, one.lineno) for one in traceback.extract_tb(error.__traceback__, -1)]
    key = what, type(error), *last
    now = time.monotonic()
    said = _said.get(key)
    if said is not None and now < said[0] + AGAIN:
        said[1] += 1
        return
    if len(_said) >= MOST:
        _said.clear()
    _said[key] = [now, 0]
    often = f", as it did {said[1]:.0f} times meanwhile" if said is not None and said[1] else ""
    _log.error("%s raised%s", what, often, exc_info=error)


def fenced(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method of a processor; say what it raises, and return False then."""
    try:
        return call(*arguments)
    except Exception as error:
        failed("a processor", error)
        return False


def bounded(given: Mapping[str, Any], **limits: Any) -> BoundedAttributes:
    """Return attributes as the API holds them; a value that raises when it is made text is None."""
    try:
        return BoundedAttributes(attributes=given, **limits)
    except Exception as error:
        failed("an attribute", error)
    shown = {key: _shown(value) for key, value in given.items() if isinstance(key, str)}
    held = BoundedAttributes(attributes=shown, **limits)
    held.dropped += len(given) - len(shown)
    return held


def _shown(value: Any) -> Any:
    try:
        return BoundedAttributes(attributes={"key": value})["key"]
    except Exception:
        return None


def exception_fields(exception: BaseException) -> dict[str, Any]:
    """Return the attributes that tell of an exception, be it one that cannot be shown.

    Spec: Semantic Conventions, Exceptions on Spans, Exceptions in logs.
    """
    kind = type(exception)
    is_builtin = kind.__module__ in {"builtins", None, ""}
    return {
        "exception.type": kind.__qualname__
        if is_builtin
        else f"{kind.__module__}.{kind.__qualname__}",
        "exception.message": message_of(exception),
        "exception.stacktrace": "".join(traceback.format_exception(exception)),
    }


def message_of(exception: BaseException) -> str:
    """Return the text of an exception, and where it has none what `traceback` shows instead."""
    try:
        return str(exception)
    except Exception:
        return "<exception str() failed>"
