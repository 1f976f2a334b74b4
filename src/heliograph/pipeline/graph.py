"""The running pipelines: who hands batches to whom.

::

    receiver ─▶ Entry ─┬─▶ processor ─▶ processor ─┬─▶ Delivery ─▶ exporter
                       │        (one pipeline)      └─▶ connector ─▶ other pipelines
                       └─▶ other pipelines of this receiver

One instance a receiver, connector, exporter and extension id; one a processor and pipeline. Each
hands on through a `Joint`, of which an entry is one, so that a reload can exchange what is behind
it. Started from the end to the front, so that whoever receives finds the rest ready, and stopped
from the front to the end.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, cast

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
from heliograph.pipeline.joints import Entry, Exit, FanOut, Handover, Intake, Joint, Outlet, Passage
from heliograph.pipeline.journal import Journal
from heliograph.pipeline.ledger import Ledger
from heliograph.pipeline.listeners import Listeners
from heliograph.pipeline.nodes import STAGES, Node, start, stop_stages
from heliograph.pipeline.own.tracing import CLIENT, INTERNAL, Tracer
from heliograph.pipeline.redaction import guard_loop
from heliograph.pipeline.reuse import Outs, Reuse
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import State, Telemetry
from heliograph.pipeline.threads import Home, OnThread

DRAIN = 10.0
"""Seconds that stopping may take before what is left is cut off."""


@dataclass
class Surroundings:
    """What a graph shares with the one that takes over from it."""

    edge: Edge
    telemetry: Telemetry
    clock: Clock
    log: logging.Logger
    listeners: Listeners
    journal: Journal | None
    tracer: Tracer | None
    failed: asyncio.Future[None]
    owners: dict[int, str] = field(default_factory=dict)
    """The components' own objects, by `id`, and what they are called."""
    modules: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.say = Sparingly(self.log, self.clock.monotonic)


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
        listeners: Listeners | None = None,
        journal: Journal | None = None,
        tracer: Tracer | None = None,
        before: tuple[Graph, Reuse] | None = None,
    ) -> None:
        """Build every component that a pipeline or ``service.extensions`` names; start none.

        Args:
            journal: what exporters use that name no storage.
            tracer: makes spans of batches, where somebody wants them.
            before: the running graph, in whose surroundings this one is built, and what it takes
                over from it.
        Raises: ConfigError when components do not fit together.
        """
        self._reuse: Reuse | None = None
        if before is None:
            self.surroundings = Surroundings(
                edge,
                telemetry or Telemetry(),
                clock or SystemClock(),
                log or logging.getLogger("heliograph"),
                listeners or Listeners(),
                journal,
                tracer,
                asyncio.get_running_loop().create_future(),
            )
        else:
            self.surroundings, self._reuse = before[0].surroundings, before[1]
        self.config = config
        self.telemetry = self.surroundings.telemetry
        self.failed = self.surroundings.failed
        """Fails when a component says that it cannot go on."""
        self._extensions: dict[ComponentId, Component] = {}
        self._shared: dict[tuple[Kind, ComponentId], Node] = {}
        self._entrances: dict[PipelineId, Consumer] = {}
        self._opening: list[PipelineId] = []
        self.stages: list[list[Node]] = [[], [], [], []]
        """Built from the end to the front; in the third, downstream components come first."""
        for id in config.extensions:
            node = self._make(config.component(Kind.EXTENSION, id))
            self._extensions[id] = cast(Component, node.component)
        for pipeline in config.pipelines.values():
            self._entrance(pipeline)
        self._receivers()
        self._reuse = None
        self.telemetry.signals = frozenset(id.signal for id in config.pipelines)

    async def start(self) -> None:
        """Start extensions, exporters, what is between, and receivers last.

        Raises: ConfigError with everything that could not be opened; what was started is stopped.
        """
        for stage in self.stages:
            problems = await start(stage)
            if problems:
                await self.stop()
                raise ConfigError(self.placed(problem, node) for node, problem in problems)
        self.telemetry.state = State.RUNNING

    async def stop(self, within: float = DRAIN) -> bool:
        """Stop receivers, let what is inside arrive, stop the rest; True when all went well.

        Nothing that was acknowledged is in here, so what is cut off after ``within`` seconds is
        still with its sender.
        """
        self.telemetry.state = State.DRAINING
        end = asyncio.get_running_loop().time() + within
        return await stop_stages(self.stages, end, self.surroundings.log)

    def placed(self, problem: Problem, node: Node) -> Problem:
        """Return what a component found wrong, with its path and its place."""
        placed = self.config.placed(problem.under(node.path))
        return placed if placed.place else replace(placed, place=node.spec.place)

    def blame(self, error: BaseException) -> str:
        """Name the component whose code an exception came out of."""
        path = "the pipeline"
        for frame, _ in traceback.walk_tb(error.__traceback__):
            path = self.owner(frame) or path
        return path

    def owner(self, frame: FrameType) -> str | None:
        """Name the component whose method, or whose module's code, a frame is; None if none's."""
        named = self.surroundings.owners.get(id(frame.f_locals.get("self")))
        return named or self.surroundings.modules.get(frame.f_globals.get("__name__", ""))

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
            spec = self.config.component(Kind.PROCESSOR, processor)
            next = self._make(spec, {None: next}, pipeline.id).consumer
        self._opening.pop()
        self._entrances[pipeline.id] = next
        return next

    def _outlet(self, id: ComponentId) -> tuple[str, Consumer]:
        """Return the exporter or connector at the end of a pipeline."""
        spec = self.config.component(Kind.EXPORTER, id)
        node = self._shared.get((spec.kind, id))
        if node is None:
            if spec.kind is Kind.CONNECTOR:
                node = self._make(spec, self._feeds(id))
            else:
                node = self._make(spec)
            self._shared[spec.kind, id] = node
        return str(id), node.consumer

    def _feeds(self, id: ComponentId) -> dict[Signal | None, Consumer]:
        """Return a consumer for each signal that pipelines take from this receiver or connector."""
        by_signal: dict[Signal | None, list[tuple[str, Consumer]]] = {}
        for pipeline in self.config.pipelines.values():
            if id in pipeline.receivers:
                branch = (str(pipeline.id), self._entrance(pipeline))
                by_signal.setdefault(pipeline.id.signal, []).append(branch)
        return {signal: self._fan_out(id, branches) for signal, branches in by_signal.items()}

    def _receivers(self) -> None:
        for pipeline in self.config.pipelines.values():
            for id in pipeline.receivers:
                spec = self.config.component(Kind.RECEIVER, id)
                if spec.kind is Kind.CONNECTOR or (spec.kind, id) in self._shared:
                    continue
                self._shared[spec.kind, id] = self._make(spec, self._feeds(id))

    def _fan_out(self, id: object, branches: list[tuple[str, Consumer]]) -> Consumer:
        return branches[0][1] if len(branches) == 1 else FanOut(str(id), branches, self.telemetry)

    def _make(
        self, spec: ComponentSpec, outs: Outs | None = None, pipeline: PipelineId | None = None
    ) -> Node:
        """Return one instance and what stands around it, a new one where none can stay.

        Args:
            outs: where it hands on, by signal; a processor's is under None.
        """
        outs = outs or {}
        node = self._reuse.find(spec, outs, pipeline) if self._reuse is not None else None
        if node is None:
            node = self._build(spec, outs, pipeline)
            if self._reuse is not None:
                self._reuse.made(node)
        self.stages[STAGES[spec.kind]].append(node)
        return node

    def _build(self, spec: ComponentSpec, outs: Outs, pipeline: PipelineId | None) -> Node:
        factory = spec.factory
        owners, path = self.surroundings.owners, _path(spec)
        ledger = self._ledger(spec, pipeline)
        joints = {signal: self._joint(spec, signal, next, ledger) for signal, next in outs.items()}
        takes: tuple[Any, ...] = () if not _hands_on(spec) else (joints.get(None, joints),)
        gone = threading.Event()
        settings = self._settings(spec, ledger, gone)
        edges: list[Edge] = []
        component: Any
        if getattr(factory, "blocking", False):
            main = asyncio.get_running_loop()
            takes = tuple(_home(consumer, main) for consumer in takes)

            def make(loop: asyncio.AbstractEventLoop) -> Component:
                guard_loop(loop, self.surroundings.log)
                edges.append(Edge(loop, self.surroundings.log))
                made: Component = factory(spec.config, replace(settings, edge=edges[-1]), *takes)
                owners[id(made)] = path
                return made

            component = OnThread(path, make)
        else:
            component = factory(spec.config, settings, *takes)
            owners[id(component)] = path
        self.surroundings.modules[spec.module.__name__] = f"{spec.kind.value}.{spec.id.type}"
        life = consumer = component
        if spec.kind is Kind.EXPORTER:
            if isinstance(spec.config, DeliveryConfig):
                journal = self.surroundings.journal
                life = consumer = Delivery(component, spec.config, settings, journal)
            else:
                consumer = Outlet(component, settings)
        elif ledger is not None:
            consumer = Intake(component, ledger)
        elif spec.kind is Kind.CONNECTOR:
            consumer = Passage(component, str(spec.id), self.telemetry)
        consumer = self._traced(spec, consumer)
        return Node(spec, life, consumer, component, pipeline, joints, edges, gone, ledger)

    def _ledger(self, spec: ComponentSpec, pipeline: PipelineId | None) -> Ledger | None:
        if pipeline is None:
            return None
        return Ledger(self.telemetry, str(spec.id), pipeline.signal, str(pipeline))

    def _joint(
        self, spec: ComponentSpec, signal: Signal | None, next: Consumer, ledger: Ledger | None
    ) -> Joint:
        """Return what a component hands its batches to."""
        if ledger is not None:
            return Handover(next, ledger)
        assert signal is not None
        if spec.kind is Kind.CONNECTOR:
            return Exit(next, signal, str(spec.id), self.telemetry)
        around = self.surroundings
        return Entry(
            next,
            signal,
            str(spec.id),
            telemetry=self.telemetry,
            say=around.say,
            blame=self.blame,
            tracer=around.tracer,
        )

    def _traced(self, spec: ComponentSpec, consumer: Any) -> Any:
        """Put a span around what a step does with a batch, where batches are traced."""
        tracer = self.surroundings.tracer
        if tracer is None or spec.kind in (Kind.RECEIVER, Kind.EXTENSION):
            return consumer
        kind = CLIENT if spec.kind is Kind.EXPORTER else INTERNAL
        return tracer.step(consumer, f"{spec.kind.singular}/{spec.id}", kind)

    def _settings(
        self, spec: ComponentSpec, ledger: Ledger | None, gone: threading.Event
    ) -> Settings:
        return Settings(
            id=spec.id,
            kind=spec.kind,
            log=logging.getLogger(f"heliograph.{_path(spec)}"),
            edge=self.surroundings.edge,
            signal=None if ledger is None else ledger.signal,
            clock=self.surroundings.clock,
            telemetry=self.telemetry,
            ledger=ledger or Ledger(),
            extensions=self._extensions,
            listeners=self.surroundings.listeners,
            failed=lambda error: None if gone.is_set() else self._fail(error),
        )

    def promises(self) -> Iterator[tuple[str, str]]:
        """Yield each exporter's path and what an acknowledgement of its data means."""
        for node in self.stages[STAGES[Kind.EXPORTER]]:
            yield node.path, getattr(node.component, "promise", "delivered")

    @property
    def ledgers(self) -> list[Ledger]:
        """What the items of each processor in each pipeline come to."""
        return [node.ledger for node in self.nodes if node.ledger is not None]

    @property
    def nodes(self) -> Iterator[Node]:
        """Every instance, from the end to the front."""
        return itertools.chain(*self.stages)

    def _fail(self, error: BaseException) -> None:
        """A component cannot go on; it may say so from a thread of its own."""
        self.failed.get_loop().call_soon_threadsafe(self._failed, error)

    def _failed(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)


def _path(spec: ComponentSpec) -> str:
    return f"{spec.kind.value}.{spec.id}"


def _hands_on(spec: ComponentSpec) -> bool:
    return spec.kind not in (Kind.EXPORTER, Kind.EXTENSION)


def _home(next: Any, main: asyncio.AbstractEventLoop) -> Any:
    if isinstance(next, Mapping):
        return {signal: Home(consumer, main) for signal, consumer in next.items()}
    return Home(next, main)
