"""What flows, counted, and who is failing: read by health_check, the CLI and metric endpoints.

Names follow the Collector's own metrics (``otelcol_receiver_accepted_spans``); what it has no name
for starts with ``heliograph_``. A counter is a plain object whose ``value`` hot paths add to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


Gauges = dict[tuple[str, tuple[tuple[str, str], ...]], Callable[[], float]]
"""(name, labels) -> whom to ask."""


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


@dataclass(frozen=True)
class Sample:
    """One reading."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass
class Failure:
    """An exporter that has not delivered since ``since`` (the clock's monotonic seconds)."""

    since: float
    reason: str
    attempts: int = 1


@dataclass
class Telemetry:
    """Counters, gauges and states of one running graph."""

    state: State = State.STARTING
    failing: dict[str, Failure] = field(default_factory=dict)
    """Exporters by id whose last attempt failed; an exporter that delivers again leaves."""
    _counters: dict[tuple[str, tuple[tuple[str, str], ...]], Counter] = field(default_factory=dict)
    _gauges: Gauges = field(default_factory=dict)

    def counter(self, name: str, **labels: str) -> Counter:
        """Return the counter of this name and these labels; the same one each time."""
        return self._counters.setdefault((name, tuple(sorted(labels.items()))), Counter())

    def items(self, name: str, **labels: str) -> dict[Signal, Counter]:
        """Return a counter per signal; ``{}`` in the name stands for what its items are called."""
        return {signal: self.counter(name.format(noun), **labels) for signal, noun in ITEMS.items()}

    def gauge(self, name: str, read: Callable[[], float], **labels: str) -> None:
        """Have ``read`` called whenever somebody looks."""
        self._gauges[name, tuple(sorted(labels.items()))] = read

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
        """Read everything that has moved, and every gauge, by name."""
        for (name, labels), counter in sorted(self._counters.items(), key=lambda entry: entry[0]):
            if counter.value:
                yield Sample(name, labels, counter.value)
        for (name, labels), read in sorted(self._gauges.items(), key=lambda entry: entry[0]):
            yield Sample(name, labels, read())

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that carry these labels."""
        wanted = labels.items()
        return sum(
            sample.value
            for sample in self.samples()
            if sample.name == name and wanted <= dict(sample.labels).items()
        )
