"""Replacing attributes of a library, so that it can be undone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

Hook = Callable[..., None]

MARK = "_heliograph_original"

LEFT = "_heliograph_left"
"""An application or engine with this attribute is left to contrib's instrumentation."""


@dataclass(frozen=True)
class Settings:
    """What may be said of an instrumentation; the names are contrib's keyword arguments.

    ``excluded_urls`` are regular expressions with commas between them, from the library's
    ``OTEL_PYTHON_*_EXCLUDED_URLS`` when not given. ``hooks`` are told of spans by name.
    """

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    excluded_urls: str | None = None
    hooks: Mapping[str, Hook] = field(default_factory=dict)


class Patches:
    """What was replaced, and by what."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put ``make(original)`` in place of an attribute that the owner itself has."""
        original = vars(owner)[name]
        plain = original.__func__ if isinstance(original, staticmethod) else original
        replacement = make(plain)
        setattr(replacement, MARK, plain)
        replacement.__name__ = getattr(plain, "__name__", name)
        replacement.__qualname__ = getattr(plain, "__qualname__", name)
        replacement.__doc__ = getattr(plain, "__doc__", None)
        replacement.__wrapped__ = plain
        setattr(owner, name, replacement)

        def undo() -> None:
            if vars(owner).get(name) is replacement:
                setattr(owner, name, original)

        self._undo.append(undo)

    def on_undo(self, action: Callable[[], None]) -> None:
        """Do this, too, when the patches are undone."""
        self._undo.append(action)

    def undo(self) -> None:
        """Put back what was there, where nobody else has patched since."""
        while self._undo:
            self._undo.pop()()


def told(hook: Hook | None, *arguments: object) -> None:
    """Tell a user's hook; what it raises is logged and goes no further."""
    if hook is None:
        return
    try:
        hook(*arguments)
    except Exception:
        import logging  # noqa: PLC0415 - only for the exception's sake

        logging.getLogger("heliograph.instrument").warning(
            "the hook %r raised", hook, exc_info=True
        )
