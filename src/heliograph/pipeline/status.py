"""What a running graph is doing, as plain data for pages, the control socket and the terminal.

Counts are totals since the start; `rates` makes a rate of each from two snapshots.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from heliograph.otlp import Signal
from heliograph.pipeline.component import Kind
from heliograph.pipeline.config import PipelineSpec
from heliograph.pipeline.ledger import Ledger
from heliograph.pipeline.own.process import resident
from heliograph.pipeline.redaction import redact
from heliograph.pipeline.telemetry import ITEMS, SIGNAL_NAMES, Histogram, Telemetry

if TYPE_CHECKING:
    from heliograph.pipeline.graph import Graph

COUNTS = ("counts", "dropped", "removed")
"""Keys below which every number is a count that only grows."""

_RECEIVER = ("received", "accepted", "refused", "failed")
_EXPORTER = ("received", "sent", "returned", "send_failed", "enqueue_failed")
_PREFIX = dict.fromkeys(("received", "returned"), "heliograph")


def snapshot(graph: Graph) -> dict[str, Any]:
    """Return everything there is to know, all of it JSON."""
    telemetry = graph.telemetry
    found = _Found(telemetry)
    config, tracer = graph.config, graph.surroundings.tracer
    ledgers = {(ledger.pipeline, ledger.processor): ledger for ledger in graph.ledgers}
    exporters = sorted({str(id) for id in _exporters(graph)})
    return {
        "time": time.time(),
        "process": {
            "pid": os.getpid(),
            "version": version("heliograph"),
            "state": telemetry.state.value,
            "uptime": found.one("otelcol_process_uptime"),
            "cpu_seconds": found.one("otelcol_process_cpu_seconds"),
            "rss": resident(),
            "config": list(config.sources),
        },
        "admission": {
            "used": found.one("heliograph_admission_used_bytes"),
            "limit": found.one("heliograph_admission_limit_bytes"),
        },
        "journal": _journal(found),
        "pipelines": [
            {
                "id": str(id),
                "signal": SIGNAL_NAMES[id.signal],
                "steps": _steps(graph, pipeline, found, ledgers),
            }
            for id, pipeline in config.pipelines.items()
        ],
        "exporters": [_exporter(id, graph, found) for id in exporters],
        "turned_away": found.by("heliograph_receiver_turned_away_requests", "receiver", "reason"),
        "component_errors": found.by("heliograph_component_errors", "component"),
        "loop_held": found.by("heliograph_loop_held", "component"),
        "errors": [
            {
                "time": mishap.time,
                "level": mishap.level,
                "component": mishap.component,
                "message": mishap.message,
            }
            for mishap in telemetry.errors
        ],
        "traces": None if tracer is None else tracer.recent.data(),
    }


def rates(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts of a snapshot in a second, each where it stands there.

    What the earlier snapshot lacks began at 0.
    """
    seconds = max(1e-9, after["time"] - before["time"])
    made = _difference(before, after, seconds, counting=False)
    return made if isinstance(made, dict) else {}


def _difference(before: Any, after: Any, seconds: float, *, counting: bool) -> Any:
    if isinstance(after, Mapping):
        old = before if isinstance(before, Mapping) else {}
        return {
            key: _difference(old.get(key), value, seconds, counting=counting or key in COUNTS)
            for key, value in after.items()
            if counting or isinstance(value, Mapping | list) or key == "id"
        }
    if isinstance(after, list):
        old = {_id(item): item for item in before} if isinstance(before, list) else {}
        return [_difference(old.get(_id(item)), item, seconds, counting=counting) for item in after]
    if counting and isinstance(after, int | float):
        return max(0.0, (after - (before or 0)) / seconds)
    return after


def _id(item: Any) -> Any:
    return (item.get("kind"), item.get("id")) if isinstance(item, Mapping) else None


class _Found:
    """What the telemetry holds, looked up by name."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._values = {reading.name: reading.values for reading in telemetry.readings()}

    def each(self, name: str, **labels: str) -> Iterable[tuple[dict[str, str], float]]:
        """Yield labels and value of each series that carries these labels."""
        for pairs, value in self._values.get(name, ()):
            found = dict(pairs)
            if not isinstance(value, Histogram) and labels.items() <= found.items():
                yield found, value

    def one(self, name: str, **labels: str) -> float | None:
        """Return the sum of what there is; None when there is nothing."""
        values = [value for _, value in self.each(name, **labels)]
        return sum(values) if values else None

    def by(self, name: str, *keys: str, **labels: str) -> dict[str, float]:
        """Return the sums for each value of some labels, joined with spaces; zeros left out."""
        sums: dict[str, float] = {}
        for found, value in self.each(name, **labels):
            if value:
                key = " ".join(found.get(key, "") for key in keys)
                sums[key] = sums.get(key, 0) + value
        return sums


def _journal(found: _Found) -> dict[str, float | None] | None:
    used = found.one("heliograph_journal_used_bytes")
    if used is None:
        return None
    return {"used": used, "limit": found.one("heliograph_journal_limit_bytes")}


def _steps(
    graph: Graph,
    pipeline: PipelineSpec,
    found: _Found,
    ledgers: Mapping[tuple[str, str], Ledger],
) -> list[dict[str, Any]]:
    signal = pipeline.id.signal
    steps = []
    for id in pipeline.receivers:
        kind = graph.config.component(Kind.RECEIVER, id).kind
        steps.append(_end(kind, str(id), signal, found, "produced"))
    for id in pipeline.processors:
        ledger = ledgers.get((str(pipeline.id), str(id)))
        if ledger is not None:
            steps.append(_processor(str(id), ledger))
    for id in pipeline.exporters:
        kind = graph.config.component(Kind.EXPORTER, id).kind
        steps.append(_end(kind, str(id), signal, found, "consumed"))
    return steps


def _end(kind: Kind, id: str, signal: Signal, found: _Found, passes: str) -> dict[str, Any]:
    """Return a receiver, an exporter or a connector, which other pipelines may name as well."""
    if kind is Kind.CONNECTOR:
        labels = {"connector": id, "otel.signal": SIGNAL_NAMES[signal]}
        counts = {passes: found.one(f"heliograph_connector_{passes}_items", **labels) or 0}
    else:
        counts = _items(kind, id, signal, found)
    return {"kind": kind.singular, "id": id, "counts": counts}


def _items(kind: Kind, id: str, signal: Signal, found: _Found) -> dict[str, float]:
    one, noun = kind.singular, ITEMS[signal]
    return {
        count: found.one(f"{_PREFIX.get(count, 'otelcol')}_{one}_{count}_{noun}", **{one: id}) or 0
        for count in (_RECEIVER if kind is Kind.RECEIVER else _EXPORTER)
    }


def _processor(id: str, ledger: Ledger) -> dict[str, Any]:
    return {
        "kind": "processor",
        "id": id,
        "counts": {
            "incoming": ledger.incoming.value,
            "outgoing": ledger.outgoing.value,
            "returned": ledger.returned.value,
            "refused": ledger.refused.value,
            "created": ledger.created.value,
        },
        "removed": {reason: counter.value for reason, counter in sorted(ledger.removed_by.items())},
        "inside": ledger.inside,
    }


def _exporters(graph: Graph) -> Iterable[str]:
    for pipeline in graph.config.pipelines.values():
        for id in pipeline.exporters:
            if graph.config.component(Kind.EXPORTER, id).kind is Kind.EXPORTER:
                yield str(id)


def _exporter(id: str, graph: Graph, found: _Found) -> dict[str, Any]:
    telemetry = graph.telemetry
    signals = telemetry.signals or frozenset(ITEMS)
    by_signal = {
        SIGNAL_NAMES[signal]: _items(Kind.EXPORTER, id, signal, found)
        for signal in ITEMS
        if signal in signals
    }
    dropped: dict[str, float] = {}
    for noun in ITEMS.values():
        name = f"heliograph_exporter_dropped_{noun}"
        for reason, items in found.by(name, "reason", exporter=id).items():
            dropped[reason] = dropped.get(reason, 0) + items
    failure = telemetry.failing.get(id)
    size = found.one("otelcol_exporter_queue_size", exporter=id)
    capacity = found.one("otelcol_exporter_queue_capacity", exporter=id)
    return {
        "id": id,
        "counts": {count: sum(items[count] for items in by_signal.values()) for count in _EXPORTER},
        "signals": {signal: {"counts": counts} for signal, counts in by_signal.items()},
        "dropped": dropped,
        "queue": None
        if size is None
        else {"size": size, "capacity": capacity, "fill": size / capacity if capacity else None},
        "waiting": found.one("heliograph_exporter_waiting_items", exporter=id),
        "oldest": found.one("heliograph_exporter_oldest_seconds", exporter=id),
        "in_flight": found.one("otelcol_exporter_in_flight_requests", exporter=id),
        "failing": None
        if failure is None
        else {
            "seconds": max(0.0, graph.surroundings.clock.monotonic() - failure.since),
            "reason": redact(failure.reason),
            "attempts": failure.attempts,
        },
    }
