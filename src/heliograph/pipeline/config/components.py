"""Check each configured component against its model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from heliograph.errors import Place, Problem
from heliograph.pipeline.component import ComponentConfig, ComponentId, Kind
from heliograph.pipeline.config import known
from heliograph.pipeline.config.ids import parse_id
from heliograph.pipeline.config.model import ComponentSpec
from heliograph.pipeline.config.names import nearest
from heliograph.pipeline.config.places import (
    HIDDEN,
    Path,
    addresses,
    brought,
    dotted,
    place_of,
    secret_texts,
    steps,
)
from heliograph.pipeline.config.shape import Shaper, kind_of
from heliograph.pipeline.config.wording import problems_of
from heliograph.pipeline.config.yaml_source import Entry, Mapping, Node, is_null
from heliograph.pipeline.redaction import without_credentials
from heliograph.pipeline.registry import BrokenComponent, Registry

_MIN_SECRET = 4


@dataclass
class Components:
    """The components of all sections, the sound ones and those with problems."""

    registry: Registry
    root: Mapping
    problems: list[Problem]
    warnings: list[Problem]
    secrets: set[Path] = field(default_factory=set)
    unclear: set[Path] = field(default_factory=set)
    """What was not looked at, and may be secret for all that is known."""
    sound: dict[tuple[Kind, ComponentId], ComponentSpec] = field(default_factory=dict)
    factories: dict[tuple[Kind, ComponentId], Any] = field(default_factory=dict)
    """The class of each, those with problems included."""
    written: dict[Kind, dict[ComponentId, Entry]] = field(default_factory=dict)

    def read(self) -> None:
        """Take all sections."""
        for kind in Kind:
            self._section(kind)
        self._ambiguous()

    def _section(self, kind: Kind) -> None:
        written = self.written[kind] = {}
        entry = self.root.entries.get(kind)
        if entry is None or is_null(entry.node):
            return
        if not isinstance(entry.node, Mapping):
            what = f"{kind_of(entry.node)}, not a map"
            self._wrong((kind.value,), what, entry.node.place, "write each as 'type:'")
            self.unclear.add((kind.value,))
            return
        for key, item in entry.node.entries.items():
            parsed = parse_id(key)
            if isinstance(parsed, str):
                self._wrong((kind.value, key), parsed, item.place, "write type or type/name")
                self.unclear.add((kind.value, key))
                continue
            id = ComponentId(*parsed)
            if id in written:
                self._wrong((kind.value, key), f"'{id}' stands here twice", item.place)
                self.unclear.add((kind.value, key))
                continue
            written[id] = item
            self._component(kind, id, key, item)

    def _ambiguous(self) -> None:
        """A pipeline names receivers or connectors, exporters or connectors, by id alone."""
        for id, entry in self.written[Kind.CONNECTOR].items():
            for other in (Kind.RECEIVER, Kind.EXPORTER):
                if id in self.written[other]:
                    self._wrong(
                        (Kind.CONNECTOR.value, str(id)),
                        f"has the id of one of the {other}, so pipelines cannot tell them apart",
                        entry.place,
                        f"call one of them '{id.type}/2'",
                    )

    def _component(self, kind: Kind, id: ComponentId, key: str, entry: Entry) -> None:
        path: Path = (kind.value, key)
        try:
            module = self.registry.module(kind, id.type)
        except BrokenComponent as error:
            self._wrong(path, str(error), entry.place)
            self.unclear.add(path)
            return
        if module is None:
            self._unknown_type(kind, id.type, path, entry.place)
            self.unclear.add(path)
            return
        self.factories[kind, id] = getattr(module, kind.class_name)
        config = self.validated(module.Config, entry, path)
        if isinstance(config, ComponentConfig):
            self.sound[kind, id] = ComponentSpec(id, kind, module, config, entry.place)

    def _unknown_type(self, kind: Kind, type: str, path: Path, place: Place) -> None:
        names = self.registry.names(kind)
        there = f"available: {', '.join(names)}" if names else f"there are no {kind} yet"
        real = known.types(kind)
        if type in real:
            self._wrong(path, f"the {kind.singular} '{type}' is not supported yet", place, there)
            return
        found = nearest(type, names)
        unsupported = None if found else nearest(type, real)
        fix = f"did you mean '{found}'? {there}" if found else there
        if unsupported:
            fix = f"did you mean '{unsupported}'? It is not supported yet; {there}"
        elsewhere = next(
            (k for k in Kind if k is not kind and type in self.registry.names(k)), None
        )
        if elsewhere and not found:
            fix = f"it is one of the {elsewhere}; {there}"
        self._wrong(path, f"there is no {kind.singular} '{type}'", place, fix)

    def validated(self, model: type[BaseModel], entry: Entry, path: Path) -> Any:
        """Return an instance of the model, None when it has problems."""
        node, place = entry.node, entry.place
        shaper = Shaper()
        values = shaper.model(node, model, path)
        self.secrets |= shaper.secrets
        self.unclear |= shaper.unclear
        found = list(shaper.problems)
        advice: list[Problem] = []
        instance = None
        if path not in shaper.failed:
            try:
                instance = model.model_validate(values)
                if isinstance(instance, ComponentConfig) and not shaper.failed:
                    found += _own_words(instance, lambda part: part.check(), node, path, shaper)
                    if path[0] in list(Kind):
                        kind = Kind(str(path[0]))
                        advice = _own_words(
                            instance, lambda part: part.advise(kind), node, path, shaper
                        )
            except ValidationError as error:
                for where, problem in problems_of(error, node, model, path, shaper.secrets):
                    if not _said(where, shaper.failed) and where not in shaper.meant:
                        found.append(problem)
            except Exception as error:
                what = f"cannot be checked: {type(error).__name__}: {error}"
                found.append(Problem(dotted(path), what, "mend the component", place))
        at_key = node.place if isinstance(node, Mapping) or is_null(node) else None

        def told(problem: Problem) -> Problem:
            here = place if problem.place is None or problem.place == at_key else problem.place
            message, fix = (
                hush(without_credentials(t)) for t in (problem.message, problem.fix or "")
            )
            return Problem(problem.path, message, fix or None, here)

        hush = self._hush(node)
        self.problems += map(told, found)
        self.warnings += map(told, [*shaper.warnings, *advice])
        return None if found else instance

    def _hush(self, node: Node) -> Callable[[str], str]:
        """Return what takes secrets, and what expansions brought, out of a message about a node."""
        texts = {*secret_texts(self.root, self.secrets), *brought(node), *addresses(node)}
        long = sorted((text for text in texts if len(text) >= _MIN_SECRET), key=len, reverse=True)

        def hush(message: str) -> str:
            for text in long:
                message = message.replace(text, HIDDEN).replace(repr(text)[1:-1], HIDDEN)
            return message

        return hush

    def _wrong(self, path: Path, message: str, place: Place, fix: str | None = None) -> None:
        self.problems.append(Problem(dotted(path), message, fix, place))


def _own_words(
    config: ComponentConfig,
    say: Callable[[ComponentConfig], Iterator[Problem]],
    node: Node,
    path: Path,
    shaper: Shaper,
) -> list[Problem]:
    """Return what a configuration and those inside it say of themselves."""
    found = []
    for at, part in _parts(config, ()):
        for problem in say(part):
            where = (*at, *steps(problem.path))
            if (*path, *where) not in shaper.meant:
                full = dotted((*path, *where))
                place = place_of(node, where)
                found.append(Problem(full, problem.message, problem.fix, place))
    return found


def _parts(value: object, path: Path) -> Iterator[tuple[Path, ComponentConfig]]:
    """Yield a configuration and those inside it, with their paths."""
    if isinstance(value, BaseModel):
        if isinstance(value, ComponentConfig):
            yield path, value
        for name, info in type(value).model_fields.items():
            alias = info.validation_alias if isinstance(info.validation_alias, str) else name
            yield from _parts(vars(value)[name], (*path, alias))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _parts(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _parts(item, (*path, number))


def _said(path: Path, failed: set[Path]) -> bool:
    return any(path[: len(start)] == start for start in failed)
