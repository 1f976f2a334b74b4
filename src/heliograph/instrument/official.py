"""Heliograph below the official launcher: what its entry points stand for.

``opentelemetry-instrument`` takes the first distribution and configurator that it finds, unless
variables name others. Ours steps aside for any other, unless it is the one that is named.
"""

import os
from collections.abc import Sequence
from typing import Any

from opentelemetry.instrumentation.distro import (  # type: ignore[import-not-found,unused-ignore]
    BaseDistro,
)

from heliograph.instrument import start
from heliograph.instrument._entries import entries
from heliograph.instrument._winner import CONFIGURATOR, DISTRO, NAME, winner


def _wins(group: str) -> str | None:
    return winner([entry.name for entry in entries(group)], os.environ.get(_VARIABLES[group]))


_VARIABLES = {DISTRO: "OTEL_PYTHON_DISTRO", CONFIGURATOR: "OTEL_PYTHON_CONFIGURATOR"}


def distro() -> Any:
    """Return the distribution that is to be used: ours, or the other one that is installed."""
    return _other(DISTRO) or HeliographDistro()


def configurator() -> Any:
    """Return the configurator that is to be used: ours, or the other one that is installed."""
    return _other(CONFIGURATOR) or HeliographConfigurator()


def _other(group: str) -> Any:
    wanted = _wins(group)
    if wanted in {NAME, None}:
        return None
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    found: Sequence[Any] = tuple(entry_points(group=group, name=wanted))
    return found[0].load()()


class HeliographDistro(BaseDistro):  # type: ignore[misc,unused-ignore]
    """Instruments each library when it is imported, as `heliograph run` does."""

    def _configure(self, **options: Any) -> None:
        start.start(own_sdk=_wins(CONFIGURATOR) == NAME)

    def load_instrumentor(self, entry_point: Any, **options: Any) -> None:
        """Nothing: what waits for the import of its library is loaded then."""


class HeliographConfigurator:
    """Configures the SDK from the environment."""

    def configure(self, **options: Any) -> None:
        if not start.is_disabled():
            start.configure()
