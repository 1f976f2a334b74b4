"""``service``: which components make which pipeline, and whether they fit together."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from heliograph.errors import Place, Problem
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentId, Kind
from heliograph.pipeline.config.ids import parse_id
from heliograph.pipeline.config.model import (
    SIGNAL_NAMES,
    SIGNALS,
    PipelineId,
    PipelineSpec,
)
from heliograph.pipeline.config.names import nearest, suggestion
from heliograph.pipeline.config.places import Path, dotted
from heliograph.pipeline.config.shape import describe
from heliograph.pipeline.config.yaml_source import Entry, Node, Scalar, Sequence, is_null
from heliograph.pipeline.config.yaml_source import Mapping as MapNode

_ROLES = (Kind.RECEIVER, Kind.PROCESSOR, Kind.EXPORTER)


@dataclass
class Use:
    """A pipeline that names a component; None when its signal is none."""

    pipeline: PipelineId | None
    place: Place
    path: Path


@dataclass
class Pipelines:
    """Reads ``service.pipelines`` against the configured components."""

    factories: Mapping[tuple[Kind, ComponentId], Any]
    """Their classes."""
    written: Mapping[Kind, Collection[ComponentId]]
    """All ids of each section, those with problems of their own too."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    result: dict[PipelineId, PipelineSpec] = field(default_factory=dict)
    uses: dict[tuple[Kind, ComponentId], list[Use]] = field(default_factory=dict)
    """Who names what; a connector stands under the role that it is named in."""

    def read(self, node: Node, place: Place) -> None:
        """Take ``service.pipelines``."""
        path: Path = ("service", "pipelines")
        if not isinstance(node, MapNode):
            if not is_null(node):
                return self._wrong(path, f"{describe(node)}, not a map of pipelines", node.place)
            node = MapNode({}, place)
        if not node.entries:
            fix = "write traces: {receivers: [otlp], exporters: [debug]} under it"
            return self._wrong(path, "has no pipeline; at least one is needed", place, fix)
        for key, entry in node.entries.items():
            self._pipeline(key, entry, (*path, key))
        self._connectors()
        return None

    def _pipeline(self, key: str, entry: Entry, path: Path) -> None:
        parsed = parse_id(key)
        if isinstance(parsed, str):
            return self._wrong(path, parsed, entry.place, "write signal or signal/name")
        signal, name = parsed
        if signal not in SIGNALS:
            found = nearest(signal, SIGNALS)
            better = f"{found}/{name}" if name else found
            fix = f"did you mean '{better}'?" if found else suggestion(signal, SIGNALS)
            self._wrong(path, "does not begin with a signal", entry.place, fix)
        id = PipelineId(SIGNALS[signal], name) if signal in SIGNALS else None
        node = entry.node
        if is_null(node):
            node = MapNode({}, entry.place)
        if not isinstance(node, MapNode):
            fix = "write receivers:, processors: and exporters: under it"
            return self._wrong(path, f"{describe(node)}, not a map", node.place, fix)
        for name, item in node.entries.items():
            if name not in list(_ROLES):
                fix = suggestion(name, [kind.value for kind in _ROLES])
                self._wrong((*path, name), "is not an option here", item.place, fix)
        ids = {role: self._list(id, role, node, path, entry.place) for role in _ROLES}
        if id is not None:
            receivers, processors, exporters = (ids[role] for role in _ROLES)
            self.result[id] = PipelineSpec(id, receivers, processors, exporters, entry.place)
        return None

    def _list(
        self, id: PipelineId | None, role: Kind, node: MapNode, path: Path, place: Place
    ) -> tuple[ComponentId, ...]:
        entry = node.entries.get(role)
        found: list[ComponentId] = []
        path = (*path, role.value)
        items = self._items(entry.node, path) if entry else ()
        if items is None:
            return ()
        for number, item in enumerate(items):
            here = (*path, number)
            parsed = parse_id(item.text) if isinstance(item, Scalar) else ""
            if isinstance(parsed, str):
                what = parsed or f"{describe(item)}, not the id of a component"
                self._wrong(here, what, item.place)
                continue
            component = ComponentId(*parsed)
            if component in found:
                self._twice(role, component, here, item.place)
            else:
                found.append(component)
                self._reference(role, component, Use(id, item.place, here))
        if not items and role is not Kind.PROCESSOR:
            what = f"has no {role.singular}; at least one is needed"
            self._wrong(path, what, entry.place if entry else place, self._example(role))
        return tuple(found)

    def _twice(self, role: Kind, component: ComponentId, path: Path, place: Place) -> None:
        what = f"'{component}' stands here twice"
        if role is Kind.PROCESSOR:
            fix = f"remove one, or name another one '{component.type}/2'"
            self._wrong(path, f"{what}; a processor can be in a pipeline once", place, fix)
        else:
            self.warnings.append(Problem(dotted(path), what, "remove one", place))

    def _items(self, node: Node, path: Path) -> tuple[Node, ...] | None:
        if isinstance(node, Sequence):
            return node.items
        if is_null(node):
            return ()
        if isinstance(node, Scalar):
            self.warnings.append(
                Problem(
                    dotted(path), "is one value where a list is meant", "put it in [ ]", node.place
                )
            )
            return tuple(
                Scalar(text.strip(), text.strip(), node.place, node.origin)
                for text in node.text.split(",")
            )
        self._wrong(path, f"{describe(node)}, not a list of ids", node.place, "write [a, b]")
        return None

    def _reference(self, role: Kind, component: ComponentId, use: Use) -> None:
        kinds = (role,) if role is Kind.PROCESSOR else (role, Kind.CONNECTOR)
        defined = [kind for kind in kinds if component in self.written[kind]]
        if not defined:
            self._undefined(kinds, component, use)
            return
        self.uses.setdefault((role, component), []).append(use)
        factory = self.factories.get((role, component))
        if factory and use.pipeline and use.pipeline.signal not in factory.signals:
            takes = _names(factory.signals)
            what = f"'{component}' is for {takes}, not for {SIGNAL_NAMES[use.pipeline.signal]}"
            self._wrong(use.path, what, use.place, f"name it in a pipeline of {takes}")

    def _undefined(self, kinds: Iterable[Kind], component: ComponentId, use: Use) -> None:
        kinds = list(kinds)
        options = sorted(str(id) for kind in kinds for id in self.written[kind])
        elsewhere = [kind for kind in Kind if component in self.written[kind]]
        found = nearest(str(component), options)
        if elsewhere:
            fix = f"it stands under {elsewhere[0]}"
        elif found is not None:
            fix = f"did you mean '{found}'?"
        else:
            others = f", or {suggestion('', options)}" if options else ""
            fix = f"write '{component}:' under {kinds[0]}{others}"
        self._wrong(use.path, f"'{component}' is not configured under {kinds[0]}", use.place, fix)

    def _connectors(self) -> None:
        """A connector is an exporter here and a receiver there, for signals that it can join."""
        edges: dict[PipelineId, set[PipelineId]] = {}
        ambiguous = {*self.written[Kind.RECEIVER], *self.written[Kind.EXPORTER]}
        for component in sorted(set(self.written[Kind.CONNECTOR]) - ambiguous):
            ends = self.uses.get((Kind.EXPORTER, component), [])
            starts = self.uses.get((Kind.RECEIVER, component), [])
            self._one_sided(component, ends, starts)
            factory = self.factories.get((Kind.CONNECTOR, component))
            if factory is not None:
                self._join(component, _feeds(factory), ends, starts, edges)
        self._cycle(edges)

    def _join(
        self,
        component: ComponentId,
        feeds: Mapping[Signal, frozenset[Signal]],
        ends: list[Use],
        starts: list[Use],
        edges: dict[PipelineId, set[PipelineId]],
    ) -> None:
        sinks = [use.pipeline for use in starts if use.pipeline]
        made: set[Signal] = set()
        for use in ends:
            if use.pipeline is None or len(sinks) < len(starts):
                return
            makes = feeds.get(use.pipeline.signal, frozenset())
            made |= makes
            to = {pipeline for pipeline in sinks if pipeline.signal in makes}
            edges.setdefault(use.pipeline, set()).update(to)
            if sinks and not to:
                self._cannot_join(component, use, SIGNAL_NAMES[use.pipeline.signal], makes, feeds)
        for use in starts if ends else ():
            if use.pipeline and use.pipeline.signal not in made:
                signal = SIGNAL_NAMES[use.pipeline.signal]
                self._wrong(
                    use.path, f"'{component}' makes no {signal} of what it is given", use.place
                )

    def _one_sided(self, component: ComponentId, ends: list[Use], starts: list[Use]) -> None:
        for have, lacks, uses in (
            ("an exporter", "a receiver", ends if not starts else []),
            ("a receiver", "an exporter", starts if not ends else []),
        ):
            for use in uses:
                what = f"the connector '{component}' is {have} here and nowhere {lacks}"
                fix = f"name it under {lacks.split()[1]}s of another pipeline"
                self._wrong(use.path, what, use.place, fix)

    def _cannot_join(
        self,
        component: ComponentId,
        use: Use,
        signal: str,
        makes: frozenset[Signal],
        feeds: Mapping[Signal, frozenset[Signal]],
    ) -> None:
        what = (
            f"'{component}' makes {_names(makes)} of {signal}; no such pipeline receives from it"
            if makes
            else f"'{component}' is for {_names(frozenset(feeds))}, not for {signal}"
        )
        self._wrong(use.path, what, use.place)

    def _cycle(self, edges: Mapping[PipelineId, set[PipelineId]]) -> None:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            cycle: list[PipelineId] = error.args[1][::-1]
            names = " → ".join(str(id) for id in cycle)
            path: Path = ("service", "pipelines", str(cycle[0]))
            what = f"feeds itself through connectors: {names}"
            self._wrong(path, what, self.result[cycle[0]].place, "take one connector out")

    def _example(self, role: Kind) -> str | None:
        options = sorted(str(id) for id in self.written[role])
        return f"write {role}: [{options[0]}]" if options else f"configure one under {role}"

    def _wrong(self, path: Path, message: str, place: Place, fix: str | None = None) -> None:
        self.problems.append(Problem(dotted(path), message, fix, place))


def _feeds(factory: Any) -> Mapping[Signal, frozenset[Signal]]:
    feeds: Mapping[Signal, frozenset[Signal]] | None = getattr(factory, "feeds", None)
    return feeds or {signal: frozenset([signal]) for signal in factory.signals}


def _names(signals: frozenset[Signal]) -> str:
    names = [name for name, signal in SIGNALS.items() if signal in signals]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def unused(
    written: Mapping[Kind, Collection[ComponentId]], used: Collection[tuple[Kind, ComponentId]]
) -> Iterator[tuple[Kind, ComponentId]]:
    """Yield the components of pipelines that no pipeline names."""
    for kind in (Kind.RECEIVER, Kind.PROCESSOR, Kind.CONNECTOR, Kind.EXPORTER):
        roles = (Kind.RECEIVER, Kind.EXPORTER) if kind is Kind.CONNECTOR else (kind,)
        for component in sorted(written[kind]):
            if not any((role, component) in used for role in roles):
                yield kind, component
