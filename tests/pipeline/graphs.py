"""A configuration without YAML, and components that tell what happens to them."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Mapping
from typing import Any, ClassVar

from heliograph.errors import Place
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import (
    ComponentConfig,
    ComponentId,
    Consumer,
    Edge,
    Kind,
    Settings,
)
from heliograph.pipeline.config import ComponentSpec, Config, PipelineId, PipelineSpec
from heliograph.pipeline.exchange import Exchange
from heliograph.pipeline.graph import Graph
from heliograph.pipeline.reuse import Change
from heliograph.testing import Sink, settings

ALL = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS})
HERE = Place("test.yaml", 1, 1)


class Told:
    """Everything that happened, and the components by path."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.made: dict[str, list[Any]] = {}


class _Recorded:
    signals: ClassVar[frozenset[Signal]] = ALL

    def __init__(self, config: Any, settings: Settings, next: Any = None) -> None:
        self.told: Told = config.told
        self.path = f"{settings.kind.value}.{settings.id}"
        self.settings = settings
        self.next = next
        self.running = False
        self.told.made.setdefault(self.path, []).append(self)

    async def start(self) -> None:
        self.running = True
        self.told.events.append(f"start {self.path}")

    async def stop(self) -> None:
        self.running = False
        self.told.events.append(f"stop {self.path}")


class PlainConfig(ComponentConfig, arbitrary_types_allowed=True):
    told: Told
    version: int = 0
    uses: str = ""


class Receiver(_Recorded):
    async def send(self, batch: Batch) -> None:
        next: Mapping[Signal, Consumer] = self.next
        await next[batch.signal].consume(batch)


class Processor(_Recorded):
    async def consume(self, batch: Batch) -> None:
        await self.next.consume(batch)


class Connector(_Recorded):
    async def consume(self, batch: Batch) -> None:
        await self.next[batch.signal].consume(batch)


class Exporter(_Recorded):
    def __init__(self, config: Any, settings: Settings) -> None:
        super().__init__(config, settings)
        self.sink = Sink()

    async def consume(self, batch: Batch) -> None:
        await self.sink.consume(batch)


class Extension(_Recorded):
    pass


CLASSES = {
    Kind.RECEIVER: Receiver,
    Kind.PROCESSOR: Processor,
    Kind.CONNECTOR: Connector,
    Kind.EXPORTER: Exporter,
    Kind.EXTENSION: Extension,
}
_SIGNALS = {"traces": Signal.TRACES, "metrics": Signal.METRICS, "logs": Signal.LOGS}


class World:
    """A graph of recording components, described as in YAML.

    Args:
        pipelines: id -> (receivers, processors, exporters), each a string of ids.
        connectors: which of the ids are connectors.
        classes: a component's own class or (class, config), by path.
        options: of the plain configuration, by path.
    """

    def __init__(
        self,
        pipelines: Mapping[str, tuple[str, str, str]],
        *,
        connectors: str = "",
        extensions: str = "",
        classes: Mapping[str, Any] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        **graph: Any,
    ) -> None:
        self.told = Told()
        self._modules: dict[tuple[str, Any], types.ModuleType] = {}
        self.config = self._configure(pipelines, connectors, extensions, classes, options)
        self.edge = Edge(asyncio.get_running_loop(), settings().log)
        try:
            self.graph = Graph(self.config, self.edge, **graph)
        except BaseException:
            self.edge.close()
            raise

    async def __aenter__(self) -> World:
        await self.graph.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.graph.stop()
        self.edge.close()

    async def reload(
        self,
        pipelines: Mapping[str, tuple[str, str, str]],
        *,
        connectors: str = "",
        extensions: str = "",
        classes: Mapping[str, Any] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        retire: bool = True,
    ) -> Change:
        """Let a graph of another description take over; without ``retire`` the old one lingers."""
        config = self._configure(pipelines, connectors, extensions, classes, options)
        self.exchange = Exchange(self.graph)
        self.graph = await self.exchange.start(config)
        change = self.exchange.switch()
        if retire:
            await self.exchange.retire()
        return change

    def one(self, path: str) -> Any:
        """The only instance at a path."""
        (made,) = self.told.made[path]
        return made

    def last(self, path: str) -> Any:
        """The newest instance at a path."""
        return self.told.made[path][-1]

    def sink(self, exporter: str) -> Sink:
        return self.one(f"exporters.{exporter}").sink  # type: ignore[no-any-return]

    async def send(self, batch: Batch, receiver: str = "in") -> None:
        await self.last(f"receivers.{receiver}").send(batch)

    def _configure(
        self,
        pipelines: Mapping[str, tuple[str, str, str]],
        connectors: str,
        extensions: str,
        classes: Mapping[str, Any] | None,
        options: Mapping[str, Mapping[str, Any]] | None,
    ) -> Config:
        components: dict[tuple[Kind, ComponentId], ComponentSpec] = {}

        def add(kind: Kind, id: str) -> None:
            path = f"{kind.value}.{id}"
            cls = (classes or {}).get(path, CLASSES[kind])
            config: Any = PlainConfig(told=self.told, **(options or {}).get(path, {}))
            if isinstance(cls, tuple):
                cls, config = cls
            module = self._modules.setdefault((path, cls), types.ModuleType(id))
            setattr(module, kind.class_name, cls)
            component_id = _ids(id)[0]
            spec = ComponentSpec(component_id, kind, module, config, HERE)
            components[kind, component_id] = spec

        for id in connectors.split():
            add(Kind.CONNECTOR, id)
        for id in extensions.split():
            add(Kind.EXTENSION, id)
        specs = {}
        for name, (receivers, processors, exporters) in pipelines.items():
            for kind, ids in zip(
                (Kind.RECEIVER, Kind.PROCESSOR, Kind.EXPORTER),
                (receivers, processors, exporters),
                strict=True,
            ):
                for id in ids.split():
                    if id not in connectors.split():
                        add(kind, id)
            signal, _, rest = name.partition("/")
            id_ = PipelineId(_SIGNALS[signal], rest)
            specs[id_] = PipelineSpec(id_, _ids(receivers), _ids(processors), _ids(exporters), HERE)
        return Config(components, specs, extensions=_ids(extensions))


def _ids(text: str) -> tuple[ComponentId, ...]:
    parts = [id.partition("/") for id in text.split()]
    return tuple(ComponentId(type, name) for type, _, name in parts)
