"""Which components of a running graph the next one takes over.

A component stays when its module and its configuration are the same, it still gives the same
signals, and no extension that it names has changed. What stands behind it may change: that is
exchanged at its joints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from heliograph.otlp import Signal
from heliograph.pipeline.component import Consumer, Kind
from heliograph.pipeline.config import ComponentSpec, PipelineId
from heliograph.pipeline.joints import Joint, Way
from heliograph.pipeline.nodes import Key, Node

Outs = Mapping[Signal | None, Consumer]


def alike(one: Any, other: Any) -> bool:
    """Tell whether two values of a configuration mean the same: ``1``, ``1.0`` and true do not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseModel):
        return alike(vars(one), vars(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a configuration that is no secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        yield from texts(vars(value))
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list | tuple) and not isinstance(value, SecretStr):
        for item in value:
            yield from texts(item)


class Reuse:
    """Matches the components of a new configuration with those that run."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.key: node for node in nodes}
        self._kept: dict[Key, Node] = {}
        self._made: dict[Key, Node] = {}
        self._leads: list[tuple[Joint, Consumer]] = []

    def find(self, spec: ComponentSpec, outs: Outs, pipeline: PipelineId | None) -> Node | None:
        """Return the running component that can stay, None when one has to be built."""
        key = Key(spec.kind, spec.id, pipeline)
        node = self._nodes.get(key)
        same = (
            node is not None
            and node.spec.module is spec.module
            and alike(node.spec.config, spec.config)
            and node.joints.keys() == outs.keys()
            and (spec.kind is Kind.EXTENSION or self._moved.isdisjoint(texts(spec.config)))
        )
        if node is None or not same:
            return None
        self._kept[key] = node
        self._leads += [(node.joints[signal], outs[signal]) for signal in outs]
        return node

    def made(self, node: Node) -> None:
        """A component had to be built."""
        self._made[node.key] = node

    @property
    def _moved(self) -> set[str]:
        """Ids of extensions that were exchanged, added or taken away; they are built first."""
        keys = {*self._nodes, *self._made} - set(self._kept)
        return {str(key.id) for key in keys if key.kind is Kind.EXTENSION}

    def new(self) -> list[Node]:
        """Return what was built."""
        return list(self._made.values())

    def staying(self) -> list[Node]:
        """Return what runs and stays."""
        return list(self._kept.values())

    def leaving(self) -> list[Node]:
        """Return what ran and does not stay."""
        return [node for key, node in self._nodes.items() if key not in self._kept]

    def switch(self) -> list[Way]:
        """Let what stays lead to the new graph; return the ways that were left."""
        leads, self._leads = self._leads, []
        return [joint.lead(next) for joint, next in leads if joint.next is not next]

    def change(self) -> Change:
        """Return what happens to which component."""
        made, old = set(self._made), set(self._nodes)
        return Change(
            kept=_names(self._kept),
            restarted=_names(made & old),
            added=_names(made - old),
            removed=_names(old - made - set(self._kept)),
        )


@dataclass(frozen=True)
class Change:
    """What a reload did, by the paths of components."""

    kept: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield a line for each fate that some component has, those that stay last."""
        for word in ("restarted", "added", "removed", "kept"):
            if names := getattr(self, word):
                yield f"{word}: {', '.join(names)}"


def _names(keys: Iterable[Key]) -> tuple[str, ...]:
    return tuple(sorted(map(str, keys)))
