"""The running pipelines: who hands batches to whom.

::

    receiver ─▶ Entry ─┬─▶ processor ─▶ processor ─┬─▶ Delivery ─▶ exporter
                       │        (one pipeline)      └─▶ connector ─▶ other pipelines
                       └─▶ other pipelines of this receiver

One instance a receiver, connector, exporter and extension id; one a processor and pipeline. With
one branch, the next consumer is called directly. Started from the end to the front, so that
whoever receives finds the rest ready, and stopped from the front to the end.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Protocol, cast

from heliograph.errors import ConfigError, Problem
from heliograph.otlp import Signal
from heliograph.pipeline.component import (
    Clock,
    Component,
    ComponentId,
    Consumer,
    Edge,
    Kind,
    Settings,
    SystemClock,
)
from heliograph.pipeline.config import ComponentSpec, Config, PipelineId, PipelineSpec
from heliograph.pipeline.delivery import Delivery, DeliveryConfig
from heliograph.pipeline.joints import Entry, FanOut, Outlet
from heliograph.pipeline.redaction import guard_loop
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import State, Telemetry
from heliograph.pipeline.threads import Home, OnThread

DRAIN = 10.0
"""Seconds that stopping may take before what is left is cut off."""

_GRACE = 1.0

_STAGES = {
    Kind.EXTENSION: 0,
    Kind.EXPORTER: 1,
    Kind.CONNECTOR: 2,
    Kind.PROCESSOR: 2,  # with the connectors, because a connector may stand before a processor
    Kind.RECEIVER: 3,
}


class Life(Protocol):
    """What starts and stops."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(frozen=True)
class Node:
    """One instance of a component; ``component`` has its life, ``consumer`` takes its batches."""

    spec: ComponentSpec
    component: Life
    consumer: Any = None

    @property
    def path(self) -> str:
        return _path(self.spec)


class Graph:
    """Everything one configuration runs."""

    def __init__(
        self,
        config: Config,
        edge: Edge,
        *,
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        """Build every component that a pipeline or ``service.extensions`` names; start none.

        Raises: ConfigError when components do not fit together.
        """
        self.telemetry = telemetry or Telemetry()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails when a component says that it cannot go on."""
        self._config = config
        self._edge = edge
        self._clock = clock or SystemClock()
        self._log = log or logging.getLogger("heliograph")
        self._say = Sparingly(self._log, self._clock.monotonic)
        self._owners: dict[int, str] = {}
        self._modules: dict[str, str] = {}
        self._extensions: dict[ComponentId, Component] = {}
        self._shared: dict[tuple[Kind, ComponentId], Node] = {}
        self._entrances: dict[PipelineId, Consumer] = {}
        self._opening: list[PipelineId] = []
        self._stages: list[list[Node]] = [[], [], [], []]
        """Built from the end to the front; in the third, downstream components come first."""
        self._edges: list[Edge] = []
        for id in config.extensions:
            node = self._make(config.component(Kind.EXTENSION, id))
            self._extensions[id] = cast(Component, node.component)
        for pipeline in config.pipelines.values():
            self._entrance(pipeline)
        self._receivers()

    async def start(self) -> None:
        """Start extensions, exporters, what is between, and receivers last.

        Raises: ConfigError with everything that could not be opened; what was started is stopped.
        """
        problems: list[Problem] = []
        for stage in self._stages:
            for node in stage:
                try:
                    await node.component.start()
                except ConfigError as error:
                    problems += [self._placed(problem, node) for problem in error.problems]
            if problems:
                await self.stop()
                raise ConfigError(problems)
        self.telemetry.state = State.RUNNING

    async def stop(self, within: float = DRAIN) -> bool:
        """Stop receivers, let what is inside arrive, stop the rest; True when all went well.

        Nothing that was acknowledged is in here, so what is cut off after ``within`` seconds is
        still with its sender.
        """
        self.telemetry.state = State.DRAINING
        end = asyncio.get_running_loop().time() + within
        extensions, exporters, between, receivers = self._stages
        clean = await self._stop(receivers, end)
        for node in reversed(between):
            clean = await self._stop([node], end) and clean
        clean = await self._stop(exporters, end) and clean
        clean = await self._stop(extensions, end) and clean
        while self._edges:
            self._edges.pop().close()
        return clean

    async def _stop(self, nodes: Sequence[Node], end: float) -> bool:
        """Stop some components side by side; after the end they are cancelled."""
        if not nodes:
            return True
        tasks = {asyncio.create_task(node.component.stop()): node for node in nodes}
        left = max(0.0, end - asyncio.get_running_loop().time())
        _, late = await asyncio.wait(tasks, timeout=left)
        for task in late:
            self._log.error("%s did not stop in time and was cut off", tasks[task].path)
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_GRACE)
        broken = [task for task in tasks if task not in late and task.exception()]
        for task in broken:
            self._log.error("%s failed to stop", tasks[task].path, exc_info=task.exception())
        return not late and not broken

    def _placed(self, problem: Problem, node: Node) -> Problem:
        placed = self._config.placed(problem.under(node.path))
        return placed if placed.place else replace(placed, place=node.spec.place)

    def blame(self, error: BaseException) -> str:
        """Name the component whose code an exception came out of."""
        path = "the pipeline"
        for frame, _ in traceback.walk_tb(error.__traceback__):
            path = self.owner(frame) or path
        return path

    def owner(self, frame: FrameType) -> str | None:
        """Name the component whose method, or whose module's code, a frame is; None if none's."""
        named = self._owners.get(id(frame.f_locals.get("self")))
        return named or self._modules.get(frame.f_globals.get("__name__", ""))

    # From here on: building, from the exporters to the receivers.

    def _entrance(self, pipeline: PipelineSpec) -> Consumer:
        """Return the first consumer of a pipeline; its end is built before it."""
        if pipeline.id in self._entrances:
            return self._entrances[pipeline.id]
        if pipeline.id in self._opening:
            loop = [*self._opening[self._opening.index(pipeline.id) :], pipeline.id]
            path = f"service.pipelines.{pipeline.id}.exporters"
            message = f"connectors lead in a circle: {' → '.join(map(str, loop))}"
            raise ConfigError([Problem(path, message, place=pipeline.place)])
        self._opening.append(pipeline.id)
        next = self._fan_out(pipeline.id, [self._outlet(id) for id in pipeline.exporters])
        for processor in reversed(pipeline.processors):
            spec = self._config.component(Kind.PROCESSOR, processor)
            next = self._make(spec, next, pipeline.id.signal).consumer
        self._opening.pop()
        self._entrances[pipeline.id] = next
        return next

    def _outlet(self, id: ComponentId) -> tuple[str, Consumer]:
        """Return the exporter or connector at the end of a pipeline."""
        spec = self._config.component(Kind.EXPORTER, id)
        node = self._shared.get((spec.kind, id))
        if node is None:
            if spec.kind is Kind.CONNECTOR:
                node = self._make(spec, self._feeds(id))
            else:
                node = self._make(spec)
            self._shared[spec.kind, id] = node
        return str(id), node.consumer

    def _feeds(self, id: ComponentId) -> dict[Signal, Consumer]:
        """Return a consumer for each signal that pipelines take from this receiver or connector."""
        by_signal: dict[Signal, list[tuple[str, Consumer]]] = {}
        for pipeline in self._config.pipelines.values():
            if id in pipeline.receivers:
                branch = (str(pipeline.id), self._entrance(pipeline))
                by_signal.setdefault(pipeline.id.signal, []).append(branch)
        return {signal: self._fan_out(id, branches) for signal, branches in by_signal.items()}

    def _receivers(self) -> None:
        for pipeline in self._config.pipelines.values():
            for id in pipeline.receivers:
                spec = self._config.component(Kind.RECEIVER, id)
                if spec.kind is Kind.CONNECTOR or (spec.kind, id) in self._shared:
                    continue
                next = {
                    signal: Entry(
                        consumer,
                        signal,
                        str(id),
                        telemetry=self.telemetry,
                        say=self._say,
                        blame=self.blame,
                    )
                    for signal, consumer in self._feeds(id).items()
                }
                self._shared[spec.kind, id] = self._make(spec, next)

    def _fan_out(self, id: object, branches: list[tuple[str, Consumer]]) -> Consumer:
        return branches[0][1] if len(branches) == 1 else FanOut(str(id), branches, self.telemetry)

    def _make(self, spec: ComponentSpec, next: Any = None, signal: Signal | None = None) -> Node:
        """Build one instance, and what stands around it."""
        factory = spec.factory
        takes = () if spec.kind in (Kind.EXPORTER, Kind.EXTENSION) else (next,)
        component: Any
        if getattr(factory, "blocking", False):
            main = asyncio.get_running_loop()
            homes = tuple(_home(consumer, main) for consumer in takes)

            def make(loop: asyncio.AbstractEventLoop) -> Component:
                guard_loop(loop, self._log)
                edge = Edge(loop, self._log)
                self._edges.append(edge)
                made: Component = factory(spec.config, self._settings(spec, signal, edge), *homes)
                return made

            component = OnThread(_path(spec), make)
        else:
            component = factory(spec.config, self._settings(spec, signal, self._edge), *takes)
        self._owners[id(getattr(component, "component", component))] = _path(spec)
        self._modules[spec.module.__name__] = f"{spec.kind.value}.{spec.id.type}"
        node = Node(spec, component, component)
        if spec.kind is Kind.EXPORTER:
            settings = self._settings(spec, signal, self._edge)
            if isinstance(spec.config, DeliveryConfig):
                delivery = Delivery(component, spec.config, settings)
                node = Node(spec, delivery, delivery)
            else:
                node = Node(spec, component, Outlet(component, settings))
        self._stages[_STAGES[spec.kind]].append(node)
        return node

    def _settings(self, spec: ComponentSpec, signal: Signal | None, edge: Edge) -> Settings:
        return Settings(
            id=spec.id,
            kind=spec.kind,
            log=logging.getLogger(f"heliograph.{_path(spec)}"),
            edge=edge,
            signal=signal,
            clock=self._clock,
            telemetry=self.telemetry,
            extensions=self._extensions,
            failed=self._fail,
        )

    def _fail(self, error: BaseException) -> None:
        """A component cannot go on; it may say so from a thread of its own."""
        self.failed.get_loop().call_soon_threadsafe(self._failed, error)

    def _failed(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)


def _path(spec: ComponentSpec) -> str:
    return f"{spec.kind.value}.{spec.id}"


def _home(next: Any, main: asyncio.AbstractEventLoop) -> Any:
    if isinstance(next, Mapping):
        return {signal: Home(consumer, main) for signal, consumer in next.items()}
    return Home(next, main)
