"""What flows, counted, and who is failing: read by health_check, the CLI and metric endpoints.

Names follow the Collector's own metrics (``otelcol_receiver_accepted_spans``); what it has no name
for starts with ``heliograph_``. A counter is a plain object whose ``value`` hot paths add to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from heliograph.otlp import Signal

ITEMS = {
    Signal.TRACES: "spans",
    Signal.METRICS: "metric_points",
    Signal.LOGS: "log_records",
    Signal.PROFILES: "profile_samples",
}
"""What the items of a signal are called in metric names."""


SIGNAL_NAMES = {
    Signal.TRACES: "traces",
    Signal.METRICS: "metrics",
    Signal.LOGS: "logs",
    Signal.PROFILES: "profiles",
}
"""What signals are called, in metrics and in configurations."""

KEPT = 50
"""So many warnings and errors are remembered for the status."""


class State(StrEnum):
    """Where the process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """How often values fell between bounds; a value on a bound counts below it."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def record(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


Labels = tuple[tuple[str, str], ...]
"""(name, value), ordered by name."""


@dataclass(frozen=True)
class Sample:
    """One reading."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True)
class Reading:
    """One metric as it stands: a number, or a histogram, for each set of labels."""

    name: str
    grows: bool
    """Whether it is a counter as far as its owner has said."""
    values: Sequence[tuple[Labels, float | Histogram]]


@dataclass(frozen=True)
class Mishap:
    """Something that the log warned of."""

    time: float
    """Unix seconds."""
    level: str
    component: str
    message: str


@dataclass
class Failure:
    """An exporter that has not delivered since ``since`` (the clock's monotonic seconds)."""

    since: float
    reason: str
    attempts: int = 1


_Key = tuple[str, Labels]

Gauges = dict[_Key, Callable[[], float | None]]
"""(name, labels) -> whom to ask."""


@dataclass
class Telemetry:
    """Counters, gauges and states of one running graph."""

    state: State = State.STARTING
    failing: dict[str, Failure] = field(default_factory=dict)
    """Exporters by id whose last attempt failed; an exporter that delivers again leaves."""
    signals: frozenset[Signal] | None = None
    """The signals that pipelines carry, None for any: counters of others stay unseen while 0."""
    errors: deque[Mishap] = field(default_factory=lambda: deque(maxlen=KEPT))
    """What the log warned of last, oldest first."""
    _counters: dict[_Key, Counter] = field(default_factory=dict)
    _parts: dict[_Key, list[Counter]] = field(default_factory=dict)
    _gauges: Gauges = field(default_factory=dict)
    _gauge_parts: dict[_Key, list[Callable[[], float]]] = field(default_factory=dict)
    _histograms: dict[_Key, Histogram] = field(default_factory=dict)
    _signal_of: dict[_Key, Signal] = field(default_factory=dict)

    def counter(self, name: str, **labels: str) -> Counter:
        """Return the counter of this name and these labels; the same one each time."""
        return self._counters.setdefault(_key(name, labels), Counter())

    def part(self, name: str, **labels: str) -> Counter:
        """Return a counter of one's own; readers see the sum of all parts and the counter."""
        key = _key(name, labels)
        self._counters.setdefault(key, Counter())
        part = Counter()
        self._parts.setdefault(key, []).append(part)
        return part

    def fold(self, part: Counter) -> None:
        """Add a part that nobody counts with any longer to the counter."""
        for key, parts in self._parts.items():
            if part in parts:
                parts.remove(part)
                self._counters[key].value += part.value
                return

    def items(self, name: str, **labels: str) -> dict[Signal, Counter]:
        """Return a counter per signal; ``{}`` in the name stands for what its items are called."""
        found = {}
        for signal, noun in ITEMS.items():
            found[signal] = self.counter(name.format(noun), **labels)
            self._signal_of[_key(name.format(noun), labels)] = signal
        return found

    def gauge(self, name: str, read: Callable[[], float | None], **labels: str) -> None:
        """Have ``read`` called whenever somebody looks; None means that there is nothing to see."""
        self._gauges[_key(name, labels)] = read

    def gauge_part(self, name: str, read: Callable[[], float], **labels: str) -> None:
        """Have one of several gauges of this name and these labels read; readers see the sum."""
        key = _key(name, labels)
        parts = self._gauge_parts.setdefault(key, [])
        parts.append(read)
        self._gauges.setdefault(key, lambda: sum(part() for part in parts))

    def histogram(self, name: str, bounds: Sequence[float], **labels: str) -> Histogram:
        """Return the histogram of this name and these labels; the same one each time."""
        return self._histograms.setdefault(_key(name, labels), Histogram(bounds))

    def gauges(self) -> Gauges:
        """Return a copy of who is asked for which gauge."""
        return dict(self._gauges)

    def put_back(self, gauges: Gauges) -> None:
        """Have those asked again that were when the copy was made."""
        self._gauges = gauges

    def forget(self, kind: str, id: str, gauges: Gauges) -> None:
        """Drop the failure of a component that is gone, and what nobody took over of its gauges.

        What it counted stays.
        """
        label = (kind, id)
        for key, read in gauges.items():
            if label in key[1] and self._gauges.get(key) is read:
                del self._gauges[key]
        if kind == "exporter":
            self.failing.pop(id, None)

    def samples(self) -> Iterator[Sample]:
        """Read every counter that has moved, and every gauge, by name."""
        for key in sorted(self._counters):
            value = self._total(key)
            if value:
                yield Sample(*key, value)
        for key, read in sorted(self._gauges.items(), key=lambda entry: entry[0]):
            reading = read()
            if reading is not None:
                yield Sample(*key, reading)

    def readings(self) -> list[Reading]:
        """Read everything, zeros included, by name; a gauge that fails is left out."""
        found: dict[str, list[tuple[Labels, float | Histogram]]] = {}
        growing = set()
        for key in self._counters:
            value = self._total(key)
            if value or self._wanted(key):
                found.setdefault(key[0], []).append((key[1], value))
                growing.add(key[0])
        for key, histogram in self._histograms.items():
            found.setdefault(key[0], []).append((key[1], histogram))
        for key, read in list(self._gauges.items()):
            with suppress(Exception):  # one owner's bug must not hide all the others
                reading = read()
                if reading is not None:
                    found.setdefault(key[0], []).append((key[1], reading))
        return [
            Reading(name, name in growing, sorted(values, key=lambda entry: entry[0]))
            for name, values in sorted(found.items())
            if values
        ]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that carry these labels."""
        wanted = labels.items()
        return sum(
            sample.value
            for sample in self.samples()
            if sample.name == name and wanted <= dict(sample.labels).items()
        )

    def _total(self, key: _Key) -> int:
        parts = self._parts.get(key)
        base = self._counters[key].value
        return base + sum(part.value for part in parts) if parts else base

    def _wanted(self, key: _Key) -> bool:
        signal = self._signal_of.get(key)
        return signal is None or self.signals is None or signal in self.signals


def _key(name: str, labels: dict[str, str]) -> _Key:
    return name, tuple(sorted(labels.items()))
