"""Read a configuration and check all of it in one pass."""

from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError

from heliograph.errors import ConfigError, Place, Problem
from heliograph.pipeline.component import ComponentConfig, ComponentId, Kind
from heliograph.pipeline.config import known
from heliograph.pipeline.config.expand import Expander
from heliograph.pipeline.config.gates import parse
from heliograph.pipeline.config.model import ComponentSpec, Config, Telemetry
from heliograph.pipeline.config.names import nearest, suggestion
from heliograph.pipeline.config.pipelines import Pipelines, parse_id, unused
from heliograph.pipeline.config.places import (
    HIDDEN,
    Path,
    child,
    dotted,
    entry_of,
    existing,
    place_of,
    steps,
)
from heliograph.pipeline.config.shape import Shaper, describe
from heliograph.pipeline.config.sources import gather, public, split
from heliograph.pipeline.config.telemetry import TelemetryConfig, normal
from heliograph.pipeline.config.wording import problems_of
from heliograph.pipeline.config.yaml_source import Entry, Mapping, Node, Scalar, Sequence, is_null
from heliograph.pipeline.registry import BrokenComponent, Registry

SERVICE_KEYS = ("telemetry", "extensions", "pipelines", "components")
_MIN_SECRET = 4


def load(sources: Several[str], sets: Several[str] = (), *, gates: Several[str] = ()) -> Config:
    """Return the configuration that ``--config``, ``--set`` and ``--feature-gates`` describe.

    Raises: ConfigError with everything that is wrong, in file order.
    """
    loader = Loader(sources, sets, gates)
    config = loader.config()
    if config is None:
        raise ConfigError(loader.problems)
    return config


@dataclass
class Loader:
    """One reading of a configuration; what it found stays here for print-config."""

    sources: Several[str]
    sets: Several[str] = ()
    gates: Several[str] = ()
    registry: Registry = field(default_factory=Registry)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    secrets: set[Path] = field(default_factory=set)
    root: Mapping = field(default_factory=lambda: Mapping({}, Place("")))
    """Merged and expanded."""
    _components: dict[tuple[Kind, ComponentId], ComponentSpec] = field(default_factory=dict)
    _written: dict[Kind, dict[ComponentId, Entry]] = field(default_factory=dict)

    def config(self) -> Config | None:
        """Return the configuration, None when there are problems."""
        try:
            self.resolve()
            found = self._check()
        except ConfigError as error:
            self.problems += error.problems
            found = None
        self.problems = self._tidy(self.problems)
        self.warnings = self._tidy(self.warnings)
        if found is None or self.problems:
            return None
        pipelines, extensions, telemetry = found
        return Config(
            components=self._components,
            pipelines=pipelines.result,
            extensions=extensions,
            telemetry=telemetry,
            warnings=tuple(self.warnings),
            sources=tuple(self.sources),
            sets=tuple(self.sets),
            gates=tuple(self.gates),
        )

    def resolve(self) -> None:
        """Read, merge and expand into ``root``."""
        on, warnings = parse(self.gates)
        self.warnings += warnings
        append = "confmap.enableMergeAppendOption" in on
        expander = Expander(self.problems, self.warnings)
        node = expander.expand(gather(self.sources, self.sets, append=append))
        assert isinstance(node, Mapping)
        self.root = node

    def _check(self) -> tuple[Pipelines, tuple[ComponentId, ...], Telemetry]:
        sections = [*Kind, "service"]
        for key, entry in self.root.entries.items():
            if key not in sections:
                self._unknown_section(key, entry)
        service_entry = self.root.entries.get("service")
        service = self._service(service_entry)
        self._files(child(service, "components"))
        for kind in Kind:
            self._section(kind)
        telemetry = self._telemetry(service)
        extensions = self._extensions(service)
        self._references()
        at = service_entry.place if service_entry else Place(self._name())
        written = entry_of(service, "pipelines")
        pipelines = Pipelines(
            self._components, {kind: set(self._written[kind]) for kind in Kind},
            self.problems, self.warnings,
        )  # fmt: skip
        empty = Scalar(None, "", at)
        pipelines.read(written.node if written else empty, written.place if written else at)
        self._unused(pipelines, extensions)
        return pipelines, extensions, telemetry

    def _name(self) -> str:
        return public(self.sources[0]) if self.sources else "--config"

    def _unknown_section(self, key: str, entry: Entry) -> None:
        if key in SERVICE_KEYS:
            fix: str | None = "it stands under service"
        else:
            fix = suggestion(key, [*Kind, "service"])
        self._wrong((key,), "is not a section of a configuration", entry.place, fix)

    def _service(self, entry: Entry | None) -> Mapping:
        empty = Mapping({}, entry.place if entry else Place(self._name()))
        if entry is None or is_null(entry.node):
            return empty
        if not isinstance(entry.node, Mapping):
            fix = "write pipelines: under it"
            self._wrong(("service",), f"{describe(entry.node)}, not a map", entry.place, fix)
            return empty
        for key, item in entry.node.entries.items():
            if key not in SERVICE_KEYS:
                fix = suggestion(key, SERVICE_KEYS)
                self._wrong(("service", key), "is not an option here", item.place, fix)
        return entry.node

    def _files(self, node: Node | None) -> None:
        """Take the Python files of ``service.components``, beside the configuration."""
        for number, item in enumerate(_items(node)):
            path: Path = ("service", "components", number)
            if not isinstance(item, Scalar) or not item.text.endswith(".py"):
                self._wrong(path, f"{describe(item)}, not a Python file", item.place, "name a .py")
                continue
            try:
                self.registry.add_file(FilePath(self._folder(item.place), item.text))
            except BrokenComponent as error:
                self._wrong(path, f"'{item.text}' {error}", item.place)

    @staticmethod
    def _folder(place: Place) -> FilePath:
        return FilePath() if split(place.source) else FilePath(place.source).parent

    def _section(self, kind: Kind) -> None:
        written = self._written[kind] = {}
        entry = self.root.entries.get(kind)
        if entry is None or is_null(entry.node):
            return
        if not isinstance(entry.node, Mapping):
            fix = (
                f"write each as a key, as in {kind}: {{otlp: }}" if kind is Kind.RECEIVER else None
            )
            self._wrong((kind.value,), f"{describe(entry.node)}, not a map", entry.node.place, fix)
            return
        for key, item in entry.node.entries.items():
            parsed = parse_id(key)
            if isinstance(parsed, str):
                self._wrong((kind.value, key), parsed, item.place, "write type or type/name")
                continue
            id = ComponentId(*parsed)
            if id in written:
                self._wrong((kind.value, key), f"'{id}' stands here twice", item.place)
                continue
            written[id] = item
            self._component(kind, id, key, item)
        if kind in (Kind.CONNECTOR, Kind.EXPORTER):
            self._ambiguous(kind)

    def _ambiguous(self, kind: Kind) -> None:
        """A pipeline names receivers or connectors, exporters or connectors, by id alone."""
        if kind is not Kind.EXPORTER:
            return
        for id, entry in self._written[Kind.CONNECTOR].items():
            for other in (Kind.RECEIVER, Kind.EXPORTER):
                if id in self._written[other]:
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
            return
        if module is None:
            self._unknown_type(kind, id.type, path, entry.place)
            return
        config = self._validated(module.Config, entry, path)
        if isinstance(config, ComponentConfig):
            self._components[kind, id] = ComponentSpec(id, kind, module, config, entry.place)

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

    def _validated(self, model: type[BaseModel], entry: Entry, path: Path) -> Any:
        """Return an instance of the model, None when it has problems."""
        node, place = entry.node, entry.place
        shaper = Shaper()
        values = shaper.model(node, model, path)
        self.secrets |= shaper.secrets
        self.warnings += shaper.warnings
        found = list(shaper.problems)
        instance = None
        if path not in shaper.failed:
            try:
                instance = model.model_validate(values)
            except ValidationError as error:
                for where, problem in problems_of(error, node, model, path, shaper.secrets):
                    if not _said(where, shaper.failed) and where not in shaper.meant:
                        found.append(problem)
        if isinstance(instance, ComponentConfig) and not shaper.failed:
            found += self._own_checks(instance, node, path, shaper.meant)
        at_key = node.place if isinstance(node, Mapping) else None
        for problem in found:
            here = place if problem.place is None or problem.place == at_key else problem.place
            self.problems.append(
                Problem(problem.path, self._scrubbed(problem.message), problem.fix, here)
            )
        return None if found else instance

    @staticmethod
    def _own_checks(
        config: ComponentConfig, node: Node, path: Path, meant: set[Path]
    ) -> list[Problem]:
        found = []
        for problem in config.check():
            where = steps(problem.path)
            if (*path, *where) not in meant:
                placed = Problem("", problem.message, problem.fix, place_of(node, where))
                found.append(placed.under(dotted((*path, *where))))
        return found

    def _telemetry(self, service: Mapping) -> Telemetry:
        entry = service.entries.get("telemetry")
        if entry is None or is_null(entry.node):
            return Telemetry()
        found = self._validated(TelemetryConfig, entry, ("service", "telemetry"))
        return normal(found) if isinstance(found, TelemetryConfig) else Telemetry()

    def _extensions(self, service: Mapping) -> tuple[ComponentId, ...]:
        found: list[ComponentId] = []
        options = [str(id) for id in self._written[Kind.EXTENSION]]
        node = child(service, "extensions")
        if isinstance(node, Mapping):
            self._wrong(
                ("service", "extensions"), "is a map, not a list of ids", node.place, "write [a, b]"
            )
            return ()
        for number, item in enumerate(_items(node)):
            path: Path = ("service", "extensions", number)
            parsed = parse_id(item.text) if isinstance(item, Scalar) else describe(item)
            if isinstance(parsed, str):
                self._wrong(path, parsed, item.place, "write the id of an extension")
                continue
            id = ComponentId(*parsed)
            if id not in self._written[Kind.EXTENSION]:
                fix = suggestion(str(id), options) if options else f"write '{id}:' under extensions"
                self._wrong(path, f"'{id}' is not configured under extensions", item.place, fix)
            elif id not in found:
                found.append(id)
        return tuple(found)

    def _references(self) -> None:
        """Check the extensions that components name: authenticators and storage."""
        service = child(self.root, "service")
        started = {
            item.text for item in _items(child(service, "extensions")) if isinstance(item, Scalar)
        }
        for kind in Kind:
            for id, entry in self._written[kind].items():
                for path, node in _named(entry.node, (kind.value, str(id))):
                    if node.text in started:
                        continue
                    configured = [str(id) for id in self._written[Kind.EXTENSION]]
                    if node.text in configured:
                        fix = f"write '{node.text}' under service.extensions"
                        self._wrong(path, f"'{node.text}' is not started", node.place, fix)
                    else:
                        what = f"'{node.text}' is not configured under extensions"
                        fix = f"write '{node.text}:' under extensions and name it in service"
                        near = suggestion(node.text, configured) if configured else fix
                        self._wrong(path, what, node.place, near)

    def _unused(self, pipelines: Pipelines, extensions: tuple[ComponentId, ...]) -> None:
        written = {kind: set(self._written[kind]) for kind in Kind}
        for kind, id in unused(written, set(pipelines.uses)):
            self._note(kind, id, "is in no pipeline, so it does nothing")
        for id in self._written[Kind.EXTENSION]:
            if id not in extensions:
                self._note(Kind.EXTENSION, id, "is not in service.extensions, so it does nothing")

    def _note(self, kind: Kind, id: ComponentId, message: str) -> None:
        place = self._written[kind][id].place
        self.warnings.append(Problem(dotted((kind.value, str(id))), message, None, place))

    def _wrong(self, path: Path, message: str, place: Place, fix: str | None = None) -> None:
        self.problems.append(Problem(dotted(path), message, fix, place))

    def _scrubbed(self, message: str) -> str:
        """Return a message without any secret that a component's own words repeat."""
        for path in self.secrets:
            walked, node = existing(self.root, path)
            if walked == path:
                for text in _texts(node):
                    if len(text) >= _MIN_SECRET:
                        message = message.replace(text, HIDDEN)
        return message

    def _tidy(self, problems: list[Problem]) -> list[Problem]:
        """Return them once each, in the order of the sources and their lines."""
        order = {public(uri): number for number, uri in enumerate(self.sources)}

        def key(problem: Problem) -> tuple[int, int, int]:
            place = problem.place or Place("")
            return order.get(place.source, len(order)), place.line or 0, place.column or 0

        return sorted(dict.fromkeys(problems), key=key)


def _said(path: Path, failed: set[Path]) -> bool:
    return any(path[: len(start)] == start for start in failed)


def _items(node: Node | None) -> tuple[Node, ...]:
    if isinstance(node, Sequence):
        return node.items
    return (node,) if isinstance(node, Scalar) and not is_null(node) else ()


def _texts(node: Node) -> list[str]:
    if isinstance(node, Scalar):
        return [node.text]
    parts = node.items if isinstance(node, Sequence) else [e.node for e in node.entries.values()]
    return [text for part in parts for text in _texts(part)]


def _named(node: Node, path: Path) -> list[tuple[Path, Scalar]]:
    """Return where a component names an extension: ``auth.authenticator``, a queue's storage."""
    found = []
    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            here = (*path, key)
            names = here[-2:] in (("auth", "authenticator"), ("sending_queue", "storage"))
            if names and isinstance(entry.node, Scalar) and entry.node.text:
                found.append((here, entry.node))
            found += _named(entry.node, here)
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            found += _named(item, (*path, number))
    return found
