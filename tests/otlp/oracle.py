"""A batch as protobuf objects: the rows of every level, and what operations ought to make of it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from strategies import REQUESTS

from heliograph.otlp import Signal

GROUPS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}
LEVELS = {
    Signal.TRACES: ["resource", "scope", "item", "event", "link"],
    Signal.METRICS: ["resource", "scope", "metric", "item", "exemplar"],
    Signal.LOGS: ["resource", "scope", "item"],
}


BELOW_ITEMS = {"event", "link", "exemplar"}


def parsed(signal: Signal, data: Any) -> Any:
    return REQUESTS[signal].FromString(bytes(data))


def data_of(metric: Any) -> Any:
    """The member of the oneof that is set, or None."""
    name = metric.WhichOneof("data")
    return getattr(metric, name) if name else None


def children(signal: Signal, level: str, entity: Any) -> Iterator[tuple[str, Any]]:
    """Yield (level, repeated field) for what is directly below an entity."""
    resources, scopes, leaves = GROUPS[signal]
    match level:
        case "":
            yield "resource", getattr(entity, resources)
        case "resource":
            yield "scope", getattr(entity, scopes)
        case "scope":
            yield "metric" if signal == Signal.METRICS else "item", getattr(entity, leaves)
        case "metric":
            if (data := data_of(entity)) is not None:
                yield "item", data.data_points
        case "item":
            if signal == Signal.TRACES:
                yield "event", entity.events
                yield "link", entity.links
            elif signal == Signal.METRICS and hasattr(entity, "exemplars"):
                yield "exemplar", entity.exemplars


def rows(signal: Signal, message: Any, level: str) -> list[list[Any]]:
    """Each row as the entities from the resource down to the row's own."""
    found: list[list[Any]] = []

    def descend(at: str, trail: list[Any], entity: Any) -> None:
        if at == level:
            found.append(trail)
            return
        for below, entities in children(signal, at, entity):
            for child in entities:
                descend(below, [*trail, child], child)

    descend("", [], message)
    return found


def parents(signal: Signal, message: Any, level: str) -> list[list[int]]:
    """For each row the row numbers of the levels above."""
    found: list[list[int]] = []
    met = dict.fromkeys(LEVELS[signal], -1)

    def descend(at: str, trail: list[int], entity: Any) -> None:
        if at == level:
            found.append(trail[:-1])
            return
        for below, entities in children(signal, at, entity):
            for child in entities:
                met[below] += 1
                descend(below, [*trail, met[below]], child)

    descend("", [], message)
    return found


def take(signal: Signal, message: Any, level: str, keep: Callable[[int], bool]) -> Any:
    """Keep rows of a level; groups above items that lose their last row vanish."""
    counter = iter(range(10**9))

    def prune(at: str, entity: Any) -> tuple[int, int]:
        met = kept = 0
        for below, entities in children(signal, at, entity):
            stay = []
            for child in list(entities):
                if below == level:
                    rows_here, kept_here = 1, int(keep(next(counter)))
                    vanishes = not kept_here
                else:
                    rows_here, kept_here = prune(below, child)
                    vanishes = bool(rows_here) and not kept_here and level not in BELOW_ITEMS
                met, kept = met + rows_here, kept + kept_here
                if not vanishes:
                    stay.append(child)
            copies = [type(child).FromString(child.SerializeToString()) for child in stay]
            del entities[:]
            entities.extend(copies)
        return met, kept

    prune("", message)
    return message


def flat(signal: Signal, message: Any) -> list[tuple[bytes, ...]]:
    """Every item with all that surrounds it, comparable and free of how it is grouped."""
    out = []
    for *around, item in rows(signal, message, "item"):
        parts = [shell(signal, entity) for entity in around]
        out.append((*parts, item.SerializeToString(deterministic=True)))
    return out


def shell(signal: Signal, entity: Any) -> bytes:
    """An entity without what is below it."""
    copy = type(entity)()
    copy.CopyFrom(entity)
    for name in (*GROUPS[signal][1:], "data_points"):
        if name in copy.DESCRIPTOR.fields_by_name:
            copy.ClearField(name)
    if "gauge" in copy.DESCRIPTOR.fields_by_name and (data := data_of(copy)) is not None:
        del data.data_points[:]
    return bytes(copy.SerializeToString(deterministic=True))


def same(messages: Iterable[Any], expected: Any, signal: Signal) -> bool:
    """Whether the items of several requests are those of one."""
    return [row for message in messages for row in flat(signal, message)] == flat(signal, expected)
