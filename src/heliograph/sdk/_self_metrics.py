"""Metrics of the SDK about itself: ``otel.sdk.*``.

Components count with plain integers whether anybody looks or not; here these are read when a
reader collects. Only durations are recorded as they happen, one for each export and collection.

Spec: Semantic Conventions, OpenTelemetry SDK metrics.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet, ref

from opentelemetry import metrics as api

from heliograph.sdk.environment_variables import OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED

SCOPE = "heliograph.sdk"

_UP_DOWN, _COUNTER = "up_down_counter", "counter"

_ITEMS = {"span": "spans", "log": "log records", "metric_data_point": "metric data points"}
_UNITS = {"span": "{span}", "log": "{log_record}", "metric_data_point": "{data_point}"}

_OBSERVED: dict[str, tuple[str, str, str]] = {
    "otel.sdk.span.live": (_UP_DOWN, "{span}", "Recorded spans that have not ended."),
    "otel.sdk.span.started": (_COUNTER, "{span}", "Spans that were started."),
    "otel.sdk.log.created": (_COUNTER, "{log_record}", "Log records that were emitted."),
}
"""By name: kind of instrument, unit, description."""

for _thing in ("span", "log"):
    _prefix, _unit, _what = f"otel.sdk.processor.{_thing}", _UNITS[_thing], _ITEMS[_thing]
    _OBSERVED |= {
        f"{_prefix}.queue.size": (_UP_DOWN, _unit, f"What waits of {_what} in a queue."),
        f"{_prefix}.queue.capacity": (_UP_DOWN, _unit, f"The most {_what} that a queue holds."),
        f"{_prefix}.processed": (
            _COUNTER,
            _unit,
            f"The {_what} that were handed to the exporter, or were dropped.",
        ),
    }
for _thing, _what in _ITEMS.items():
    _prefix, _unit = f"otel.sdk.exporter.{_thing}", _UNITS[_thing]
    _OBSERVED |= {
        f"{_prefix}.inflight": (_UP_DOWN, _unit, f"The {_what} that an exporter is sending."),
        f"{_prefix}.exported": (_COUNTER, _unit, f"The {_what} that were sent, or given up."),
    }

EXPORT = "otel.sdk.exporter.operation.duration"
COLLECTION = "otel.sdk.metric_reader.collection.duration"

_DURATIONS = {
    EXPORT: "How long an export takes, retries included.",
    COLLECTION: "How long a reader collects.",
}
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Reading = tuple[str, int, Mapping[str, Any]]
"""A metric's name, its value, and the attributes beside those of the component."""

_numbers: Counter[str] = Counter()


class Source(Protocol):
    """What counts."""

    def own_readings(self) -> Iterable[Reading]:
        """Return what there is to report now."""


class Observer:
    """The ``otel.sdk.*`` instruments of one meter provider, and what they read."""

    def __init__(self, meter_provider: Any) -> None:
        self._provider = ref(meter_provider)
        self._sources: WeakSet[Any] = WeakSet()
        self._durations: dict[str, Any] = {}

    def begin(self, meter: api.Meter) -> None:
        """Make the instruments."""
        for name, (kind, unit, text) in _OBSERVED.items():
            make = getattr(meter, f"create_observable_{kind}")
            make(name, callbacks=[self._callback(name)], unit=unit, description=text)
        for name, text in _DURATIONS.items():
            self._durations[name] = meter.create_histogram(
                name, unit="s", description=text, explicit_bucket_boundaries_advisory=_SECONDS
            )

    def _callback(self, wanted: str) -> Any:
        def observe(options: api.CallbackOptions) -> Iterator[api.Observation]:
            for source in _sources_of(self._provider()):
                about: Component = source.own
                for name, value, more in source.own_readings():
                    if name == wanted:
                        yield api.Observation(value, {**about.attributes, **more})

        return observe

    def add(self, source: Source) -> None:
        """Read what this counts, as long as it exists."""
        self._sources.add(source)

    def record(self, name: str, seconds: float, attributes: Mapping[str, Any]) -> None:
        """Record a duration."""
        duration = self._durations.get(name)
        if duration is not None:
            duration.record(seconds, dict(attributes))


_observers: WeakKeyDictionary[Any, Observer] = WeakKeyDictionary()


def _sources_of(provider: Any) -> Iterator[Any]:
    """Yield what is reported to a provider. A meter makes an instrument once, so what was told to
    the stand-in for the global provider and what was told to that one comes from either."""
    for known, observer in list(_observers.items()):
        if _real(known) is _real(provider):
            yield from list(observer._sources)


def _real(provider: Any) -> Any:
    is_stand_in = type(provider).__name__ == "_ProxyMeterProvider"
    return api.get_meter_provider() if is_stand_in else provider


class Component:
    """What a component that counts is called, and where its durations go."""

    def __init__(self, observer: Observer | None, attributes: Mapping[str, Any]) -> None:
        self._observer = observer
        self.attributes = attributes

    @property
    def is_observed(self) -> bool:
        """Whether anybody reads what the component counts."""
        return self._observer is not None

    def took(self, name: str, seconds: float, more: Mapping[str, Any]) -> None:
        """Record a duration."""
        if self._observer is not None:
            self._observer.record(name, seconds, {**self.attributes, **more})


UNOBSERVED = Component(None, {})


def observe(
    source: Any, meter_provider: Any, kind: str | None = None, **attributes: Any
) -> Component:
    """Have a source read by the instruments of a provider, and return what it is called.

    Without a provider that is given, the global one is told, if
    ``OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`` is true.

    Args:
        source: a `Source`, which keeps what is returned as ``own``; None when only durations are
            to be recorded.
        kind: the ``otel.component.type``; None for what is no component.
        attributes: more of them, where they have a value; ``_`` stands for a dot.
    """
    if meter_provider is None:
        if not is_enabled():
            return UNOBSERVED
        meter_provider = api.get_meter_provider()
    observer = _observers.get(meter_provider)
    if observer is None:
        observer = _observers.setdefault(meter_provider, Observer(meter_provider))
        observer.begin(meter_provider.get_meter(SCOPE))
    about: dict[str, Any] = {}
    if kind is not None:
        about = {"otel.component.type": kind, "otel.component.name": f"{kind}/{_numbers[kind]}"}
        _numbers[kind] += 1
    about |= {
        name.replace("_", "."): value for name, value in attributes.items() if value is not None
    }
    if source is not None:
        observer.add(source)
    return Component(observer, about)


def is_enabled() -> bool:
    """Return whether the SDK reports on itself where nobody asked for it in code."""
    text = os.environ.get(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED, "")
    return text.strip().lower() == "true"


def processed(thing: str, taken: int, dropped: int) -> Iterator[Reading]:
    """Yield what became of a processor's items."""
    name = f"otel.sdk.processor.{thing}.processed"
    yield name, taken, {}
    if dropped:
        yield name, dropped, {"error.type": "queue_full"}
