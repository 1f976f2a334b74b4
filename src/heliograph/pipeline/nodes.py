"""The instances that a graph consists of, and how several are started and stopped."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from heliograph.errors import ConfigError, Problem
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentId, Edge, Kind
from heliograph.pipeline.config import ComponentSpec, PipelineId
from heliograph.pipeline.joints import Joint
from heliograph.pipeline.ledger import Ledger

STAGES = {
    Kind.EXTENSION: 0,
    Kind.EXPORTER: 1,
    Kind.CONNECTOR: 2,
    Kind.PROCESSOR: 2,  # with the connectors, because a connector may stand before a processor
    Kind.RECEIVER: 3,
}
"""Started in this order, stopped in the other."""

_GRACE = 1.0
"""Seconds that a component has to end after it was cut off."""


class Life(Protocol):
    """What starts and stops."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Key(NamedTuple):
    """What tells a graph's instances apart: a processor has one in each pipeline."""

    kind: Kind
    id: ComponentId
    pipeline: PipelineId | None = None

    def __str__(self) -> str:
        path = f"{self.kind.value}.{self.id}"
        return path if self.pipeline is None else f"{path} in {self.pipeline}"


@dataclass(frozen=True, eq=False)
class Node:
    """One instance of a component; ``component`` has its life, ``consumer`` takes its batches."""

    spec: ComponentSpec
    component: Life
    consumer: Any = None
    inner: Any = None
    """The component without what stands around it."""
    pipeline: PipelineId | None = None
    joints: Mapping[Signal | None, Joint] = field(default_factory=dict)
    """Where it hands on: by signal, or under None for a processor."""
    edges: Sequence[Edge] = ()
    """The edges of a thread of its own."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when it is no longer of this collector, so that nobody cares whether it can go on."""
    ledger: Ledger | None = None
    """What a processor's items come to."""

    @property
    def path(self) -> str:
        return f"{self.spec.kind.value}.{self.spec.id}"

    @property
    def key(self) -> Key:
        return Key(self.spec.kind, self.spec.id, self.pipeline)

    def close(self) -> None:
        """Close what was opened for it, after its stop."""
        for edge in self.edges:
            edge.close()
        if self.ledger is not None:
            self.ledger.close()


def staged(nodes: Iterable[Node]) -> list[list[Node]]:
    """Return the nodes by stage, those of a stage in the order in which they come."""
    stages: list[list[Node]] = [[] for _ in set(STAGES.values())]
    for node in nodes:
        stages[STAGES[node.spec.kind]].append(node)
    return stages


async def start(nodes: Iterable[Node]) -> list[tuple[Node, Problem]]:
    """Start some components; return everything that could not be opened."""
    problems: list[tuple[Node, Problem]] = []
    for node in nodes:
        try:
            await node.component.start()
        except ConfigError as error:
            problems += [(node, problem) for problem in error.problems]
    return problems


async def stop(nodes: Sequence[Node], end: float, log: logging.Logger) -> bool:
    """Stop some components side by side; after ``end`` on the loop's clock they are cancelled.

    True when all stopped in time and well.
    """
    if not nodes:
        return True
    loop = asyncio.get_running_loop()
    tasks = {asyncio.create_task(node.component.stop()): node for node in nodes}
    _, late = await asyncio.wait(tasks, timeout=max(0.0, end - loop.time()))
    for task in late:
        log.error("%s did not stop in time and was cut off", tasks[task].path)
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=_GRACE)
    broken = [task for task in tasks if task not in late and task.exception()]
    for task in broken:
        log.error("%s failed to stop", tasks[task].path, exc_info=task.exception())
    return not late and not broken


async def stop_stages(stages: Sequence[Sequence[Node]], end: float, log: logging.Logger) -> bool:
    """Stop receivers first, then what is between from the front, exporters, and extensions."""
    extensions, exporters, between, receivers = stages
    clean = await stop(receivers, end, log)
    for node in reversed(between):
        clean = await stop([node], end, log) and clean
    clean = await stop(exporters, end, log) and clean
    clean = await stop(extensions, end, log) and clean
    for stage in stages:
        for node in stage:
            node.close()
    return clean
