"""What a configuration made.

Spec: Configuration SDK.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class ConfigurationError(ValueError):
    """A file cannot be used; the message has a line for each problem and one for each fix."""


@dataclass(frozen=True)
class Destination:
    """Where a signal goes."""

    signal: str
    """``traces``, ``metrics`` or ``logs``."""

    exporter: str
    """The name that chose it, such as ``otlp`` or ``console``."""

    where: str
    """An endpoint, a path or ``stdout``; the class where nothing more is known."""

    is_named: bool
    """Whether a variable or file named it, instead of being the default."""

    def __str__(self) -> str:
        return f"{self.signal} to {self.exporter} ({self.where})"


@dataclass
class Configured:
    """The global providers that a configuration made; None where it made none.

    Use `shutdown` at the end, or leave it to the interpreter's exit.
    """

    tracer_provider: Any = None
    meter_provider: Any = None
    logger_provider: Any = None
    logging_handler: Any = None
    """Takes what `logging` logs; not among any logger's handlers."""

    destinations: list[Destination] = field(default_factory=list)
    is_disabled: bool = False
    """``OTEL_SDK_DISABLED``: the providers are there and record nothing."""

    _undo: list[Callable[[], None]] = field(default_factory=list)

    def force_flush(self, timeout: float = 30.0) -> bool:
        """Send what is held; return whether all of it was sent within so many seconds."""
        end = time.monotonic() + timeout
        done = True
        for provider in self._providers():
            done &= provider.force_flush(int(max(0.0, end - time.monotonic()) * 1000)) is not False
        return done

    def shutdown(self) -> None:
        """Flush and end the providers, and take no more from `logging`. Safe twice."""
        while self._undo:
            self._undo.pop()()
        for provider in self._providers():
            provider.shutdown()
        self.tracer_provider = self.meter_provider = self.logger_provider = None

    def _providers(self) -> list[Any]:
        made = (self.tracer_provider, self.meter_provider, self.logger_provider)
        return [provider for provider in made if provider is not None]
