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
from heliograph.pipeline.graph import Graph
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
        self.told.made.setdefault(self.path, []).append(self)

    async def start(self) -> None:
        self.told.events.append(f"start {self.path}")

    async def stop(self) -> None:
        self.told.events.append(f"stop {self.path}")


class PlainConfig(ComponentConfig, arbitrary_types_allowed=True):
    told: Told


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
    """

    def __init__(
        self,
        pipelines: Mapping[str, tuple[str, str, str]],
        *,
        connectors: str = "",
        extensions: str = "",
        classes: Mapping[str, Any] | None = None,
        **graph: Any,
    ) -> None:
        self.told = Told()
        self._classes = dict(classes or {})
        self._components: dict[tuple[Kind, ComponentId], ComponentSpec] = {}
        for id in connectors.split():
            self._add(Kind.CONNECTOR, id)
        for id in extensions.split():
            self._add(Kind.EXTENSION, id)
        specs = {}
        for name, (receivers, processors, exporters) in pipelines.items():
            for kind, ids in zip(
                (Kind.RECEIVER, Kind.PROCESSOR, Kind.EXPORTER),
                (receivers, processors, exporters),
                strict=True,
            ):
                for id in ids.split():
                    if id not in connectors.split():
                        self._add(kind, id)
            signal, _, rest = name.partition("/")
            id_ = PipelineId(_SIGNALS[signal], rest)
            specs[id_] = PipelineSpec(id_, _ids(receivers), _ids(processors), _ids(exporters), HERE)
        self.config = Config(self._components, specs, extensions=_ids(extensions))
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

    def one(self, path: str) -> Any:
        """The only instance at a path."""
        (made,) = self.told.made[path]
        return made

    def sink(self, exporter: str) -> Sink:
        return self.one(f"exporters.{exporter}").sink  # type: ignore[no-any-return]

    async def send(self, batch: Batch, receiver: str = "in") -> None:
        await self.one(f"receivers.{receiver}").send(batch)

    def _add(self, kind: Kind, id: str) -> None:
        cls = self._classes.get(f"{kind.value}.{id}", CLASSES[kind])
        config: Any = PlainConfig(told=self.told)
        if isinstance(cls, tuple):
            cls, config = cls
        module = types.ModuleType(id)
        setattr(module, kind.class_name, cls)
        component_id = _ids(id)[0]
        self._components[kind, component_id] = ComponentSpec(
            component_id, kind, module, config, HERE
        )


def _ids(text: str) -> tuple[ComponentId, ...]:
    parts = [id.partition("/") for id in text.split()]
    return tuple(ComponentId(type, name) for type, _, name in parts)
