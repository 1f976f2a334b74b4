"""Instruments. The synchronous ones measure in the native core: their methods are its own.

Spec: Metrics API, Instrument; Metrics SDK, Measurement processing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Protocol

from opentelemetry import metrics as api
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.util.types import Attributes

from heliograph._core import MetricAdder, MetricRecorder, MetricSetter
from heliograph.sdk.util.instrumentation import InstrumentationScope

_logger = logging.getLogger(__name__)

Callback = Callable[[CallbackOptions], Iterable[Observation]]


class Described(Protocol):
    """What all instruments say of themselves."""

    name: str
    unit: str
    description: str
    instrumentation_scope: InstrumentationScope


class _Named:
    """Name, unit, description and scope of an instrument."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if "_made" not in cls.__dict__ and cls.__module__ == __name__:
            raise TypeError(f"{cls.__name__} must be instantiated via a meter.")
        return super().__new__(cls)

    def __init__(self, name: str, scope: InstrumentationScope, unit: str, description: str) -> None:
        self.name = name
        self.unit = unit
        self.description = description
        self.instrumentation_scope = scope
        self._enabled = True
        self._attributes_advisory: tuple[str, ...] | None = None
        self._storages: dict[Any, list[Any]] = {}
        self._reservoirs: dict[Any, list[Any]] = {}

    def is_enabled(self) -> bool:
        """Return whether a measurement goes anywhere: the meter is enabled, and a reader has a
        stream of it that no view drops. May change. Spec: Metrics API, Enabled."""
        return self._enabled and any(self._storages.values())

    def _is_enabled(self) -> bool:
        return self._enabled

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lstrip('_')} {self.name!r}>"


class Counter(_Named, MetricAdder, api.Counter):
    """A sum that only grows."""

    def bind(self, attributes: Attributes = None) -> BoundCounter:
        """Return what adds with these attributes. Spec: Metrics API, Bind."""
        return BoundCounter(self, attributes)


class UpDownCounter(_Named, MetricAdder, api.UpDownCounter):
    """A sum that grows and shrinks."""

    def bind(self, attributes: Attributes = None) -> BoundCounter:
        """Return what adds with these attributes. Spec: Metrics API, Bind."""
        return BoundCounter(self, attributes)


class Histogram(_Named, MetricRecorder, api.Histogram):
    """A distribution of values that are not below zero."""

    _boundaries_advisory: Sequence[float] | None = None

    def bind(self, attributes: Attributes = None) -> BoundHistogram:
        """Return what records with these attributes. Spec: Metrics API, Bind."""
        return BoundHistogram(self, attributes)


class Gauge(_Named, MetricSetter, api._Gauge):
    """A value of which only the last counts."""

    def bind(self, attributes: Attributes = None) -> BoundGauge:
        """Return what sets with these attributes. Spec: Metrics API, Bind."""
        return BoundGauge(self, attributes)


class _Bound:
    """An instrument with attributes, which are copied: what is changed later is not seen."""

    def __init__(self, instrument: Any, attributes: Attributes) -> None:
        self._instrument = instrument
        self._attributes = dict(attributes or {})


class BoundCounter(_Bound):
    """A counter with attributes."""

    def add(self, amount: float, context: Context | None = None) -> None:
        """Add to the sum of these attributes."""
        self._instrument.add(amount, self._attributes, context)


class BoundHistogram(_Bound):
    """A histogram with attributes."""

    def record(self, amount: float, context: Context | None = None) -> None:
        """Record a value with these attributes."""
        self._instrument.record(amount, self._attributes, context)


class BoundGauge(_Bound):
    """A gauge with attributes."""

    def set(self, amount: float, context: Context | None = None) -> None:
        """Set the value of these attributes."""
        self._instrument.set(amount, self._attributes, context)


class _Observed(_Named):
    """What asynchronous instruments share: callbacks, called at each collection."""

    def __init__(
        self,
        name: str,
        scope: InstrumentationScope,
        unit: str,
        description: str,
        callbacks: Sequence[Callback | Generator[Any, Any, Any]] | None,
    ) -> None:
        super().__init__(name, scope, unit, description)
        self._callbacks = [_callable(callback) for callback in callbacks or ()]

    def observations(self, options: CallbackOptions) -> Iterator[Observation]:
        """Call the callbacks; one that fails is logged, and ends."""
        if not self._enabled:
            return
        for callback in self._callbacks:
            try:
                for observation in callback(options):
                    if not math.isfinite(observation.value):
                        _logger.warning(
                            "Callback of %s returned %s, which is not finite; it is ignored.",
                            self.name,
                            observation.value,
                        )
                        continue
                    yield observation
            except Exception:
                _logger.exception("Callback failed for instrument %s.", self.name)


def _callable(callback: Callback | Generator[Any, Any, Any]) -> Callback:
    if not isinstance(callback, Generator):
        return callback
    generator = callback
    next(generator)

    def send(options: CallbackOptions) -> Iterable[Observation]:
        try:
            found: Iterable[Observation] = generator.send(options)
        except StopIteration:
            return []
        return found

    return send


class ObservableCounter(_Observed, api.ObservableCounter):
    """A sum that only grows, observed."""


class ObservableUpDownCounter(_Observed, api.ObservableUpDownCounter):
    """A sum, observed."""


class ObservableGauge(_Observed, api.ObservableGauge):
    """A value, observed."""


class _Counter(Counter):
    _made = True


class _UpDownCounter(UpDownCounter):
    _made = True


class _Histogram(Histogram):
    _made = True


class _Gauge(Gauge):
    _made = True


class _ObservableCounter(ObservableCounter):
    _made = True


class _ObservableUpDownCounter(ObservableUpDownCounter):
    _made = True


class _ObservableGauge(ObservableGauge):
    _made = True


KINDS = {
    "Counter": _Counter,
    "UpDownCounter": _UpDownCounter,
    "Histogram": _Histogram,
    "Gauge": _Gauge,
    "ObservableCounter": _ObservableCounter,
    "ObservableUpDownCounter": _ObservableUpDownCounter,
    "ObservableGauge": _ObservableGauge,
}


def kind_of(instrument_class: type) -> str:
    """Return the kind of an instrument's class: ours, the API's or the official SDK's.

    Raises: ValueError when it is none.
    """
    kind = instrument_class.__name__.lstrip("_")
    if kind not in KINDS:
        raise ValueError(f"Invalid instrument class found {instrument_class}")
    return kind
