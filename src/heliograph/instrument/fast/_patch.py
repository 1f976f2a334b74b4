"""Replacing attributes of a library, so that it can be undone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

Given = ParamSpec("Given")
Begun = TypeVar("Begun")
Hook = Callable[..., None]

MARK = "_heliograph_original"

LEFT = "_heliograph_left"
"""An application or engine with this attribute, or a request with this key, is left to contrib."""


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
        self.leave: Callable[[], None] = self.undo
        """Leaves the library to another instrumentation; what is beneath it stays quiet."""

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


def fenced(begin: Callable[Given, Begun | None]) -> Callable[Given, Begun | None]:
    """Have what begins a record return None where it fails: the program goes on without one.

    The first failure is logged.
    """
    failed: list[Exception] = []

    @wraps(begin)
    def call(*arguments: Given.args, **options: Given.kwargs) -> Begun | None:
        try:
            return begin(*arguments, **options)
        except Exception as error:
            if not failed:
                failed.append(error)
                _warn("heliograph records less here: %s failed", begin.__qualname__)
            return None

    return call


def _warn(text: str, *arguments: object) -> None:
    import logging  # noqa: PLC0415 - only for an exception's sake

    logging.getLogger("heliograph.instrument").warning(text, *arguments, exc_info=True)


def told(hook: Hook | None, *arguments: object) -> None:
    """Tell a user's hook; what it raises is logged and goes no further."""
    if hook is None:
        return
    try:
        hook(*arguments)
    except Exception:
        _warn("the hook %r raised", hook)
