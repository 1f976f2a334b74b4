"""Objects of ours that pass on to a provider which is not ours.

Programs and instrumentations hold them already, so they change their class.
"""

from __future__ import annotations

from typing import Any

from heliograph.sdk.logs import Logger
from heliograph.sdk.metrics._internal import instrument as instruments
from heliograph.sdk.metrics._internal.meter import Meter
from heliograph.sdk.trace import Tracer


class _Tracer(Tracer):
    """Starts spans of another tracer."""

    _real: Any

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        return self._real.start_span(*args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return self._real.start_as_current_span(*args, **kwargs)


def tracer(held: Any, provider: Any) -> None:
    """Let a tracer start spans of this provider."""
    scope = held._instrumentation_scope
    held._real = provider.get_tracer(scope.name, scope.version, scope.schema_url, scope.attributes)
    held.__class__ = _Tracer


class _Declines:
    """A recorder that takes nothing, so that handlers hand over whole records."""

    def log(self, *args: Any) -> bool:
        return False

    def set_scope(self, *args: Any) -> None:
        pass


class _Logger(Logger):
    """Emits records of another logger."""

    _real: Any

    def emit(self, *args: Any, **kwargs: Any) -> None:
        self._real.emit(*args, **kwargs)

    def enabled(self, **kwargs: Any) -> bool:
        found = getattr(self._real, "enabled", None)
        return found is None or bool(found(**kwargs))


def logger(held: Any, provider: Any) -> None:
    """Let a logger emit records of this provider."""
    scope = held._instrumentation_scope
    held._real = provider.get_logger(scope.name, scope.version, scope.schema_url, scope.attributes)
    held.recorder = _Declines()
    held.__class__ = _Logger


class _Meter(Meter):
    """Makes instruments of another meter."""

    _real: Any

    def _create(
        self,
        kind: str,
        name: str,
        unit: str | None,
        description: str | None,
        callbacks: Any = None,
        *,
        boundaries: Any = None,
        kept: Any = None,
    ) -> Any:
        return _create(self._real, kind, name, unit, description, callbacks, boundaries)


class _Counter(instruments._Counter):
    _real: Any

    def add(self, *args: Any, **kwargs: Any) -> None:
        self._real.add(*args, **kwargs)


class _UpDownCounter(instruments._UpDownCounter):
    _real: Any

    def add(self, *args: Any, **kwargs: Any) -> None:
        self._real.add(*args, **kwargs)


class _Histogram(instruments._Histogram):
    _real: Any

    def record(self, *args: Any, **kwargs: Any) -> None:
        self._real.record(*args, **kwargs)


class _Gauge(instruments._Gauge):
    _real: Any

    def set(self, *args: Any, **kwargs: Any) -> None:
        self._real.set(*args, **kwargs)


_FORWARDING: dict[str, Any] = {
    "Counter": _Counter,
    "UpDownCounter": _UpDownCounter,
    "Histogram": _Histogram,
    "Gauge": _Gauge,
}
_METHODS = {
    "Counter": "create_counter",
    "UpDownCounter": "create_up_down_counter",
    "Histogram": "create_histogram",
    "Gauge": "create_gauge",
    "ObservableCounter": "create_observable_counter",
    "ObservableUpDownCounter": "create_observable_up_down_counter",
    "ObservableGauge": "create_observable_gauge",
}


def meter(held: Any, provider: Any) -> None:
    """Let a meter and its instruments measure for this provider."""
    scope = held._instrumentation_scope
    real = provider.get_meter(scope.name, scope.version, scope.schema_url, scope.attributes)
    for one in held._instruments.values():
        kind = instruments.kind_of(type(one))
        observed = isinstance(one, instruments._Observed)
        boundaries = getattr(one, "_boundaries_advisory", None)
        made = _create(
            real,
            kind,
            one.name,
            one.unit,
            one.description,
            [one.observations] if observed else None,
            boundaries,
        )
        if not observed:
            one._real = made
            one.__class__ = _FORWARDING[kind]
    held._real = real
    held.__class__ = _Meter


def _create(
    real: Any,
    kind: str,
    name: str,
    unit: str | None,
    description: str | None,
    callbacks: Any,
    boundaries: Any,
) -> Any:
    make = getattr(real, _METHODS[kind])
    more: dict[str, Any] = {"unit": unit or "", "description": description or ""}
    if kind.startswith("Observable"):
        more["callbacks"] = callbacks
    elif boundaries is not None:
        more["explicit_bucket_boundaries_advisory"] = boundaries
    return make(name, **more)
