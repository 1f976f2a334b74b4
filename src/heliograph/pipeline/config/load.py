"""Read a configuration and check all of it in one pass."""

from collections.abc import Sequence as Several
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

from heliograph.errors import ConfigError, Place, Problem
from heliograph.pipeline.component import ComponentId, Kind
from heliograph.pipeline.config.components import Components
from heliograph.pipeline.config.expand import Expander
from heliograph.pipeline.config.gates import parse
from heliograph.pipeline.config.ids import parse_id
from heliograph.pipeline.config.journal import JournalConfig
from heliograph.pipeline.config.model import Config, Telemetry
from heliograph.pipeline.config.names import suggestion
from heliograph.pipeline.config.pipelines import Pipelines, unused
from heliograph.pipeline.config.places import (
    Path,
    addresses,
    child,
    dotted,
    entry_of,
    place_of,
    secret_texts,
    steps,
)
from heliograph.pipeline.config.shape import describe, kind_of
from heliograph.pipeline.config.sources import (
    NO_TLS,
    can_be_changed_on_the_way,
    gather,
    is_remote,
    local_files,
    public,
    split,
)
from heliograph.pipeline.config.telemetry import TelemetryConfig, normal
from heliograph.pipeline.config.yaml_source import Entry, Mapping, Node, Scalar, Sequence, is_null
from heliograph.pipeline.redaction import without_credentials
from heliograph.pipeline.registry import BrokenComponent, Registry

Written = dict[Kind, dict[ComponentId, Entry]]
SERVICE_KEYS = ("telemetry", "extensions", "pipelines", "components", "journal")


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

    sources: Several[str] = field(repr=False)
    sets: Several[str] = field(default=(), repr=False)
    gates: Several[str] = ()
    registry: Registry = field(default_factory=Registry)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    root: Mapping = field(default_factory=lambda: Mapping({}, Place("")), repr=False)
    """Merged and expanded."""
    resolved: bool = False
    """Whether ``root`` could be read."""
    secrets: set[Path] = field(default_factory=set)
    """Paths of what nobody may see."""
    files: dict[FilePath, None] = field(default_factory=dict)
    """Local files that were read, or should have been."""
    unclear: set[Path] = field(default_factory=set)
    """Paths of what nobody can tell whether it is secret: no component knows it."""

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
        components, pipelines, extensions, telemetry, journal = found
        return Config(
            components=components.sound,
            pipelines=pipelines.result,
            extensions=extensions,
            telemetry=telemetry,
            journal=journal,
            warnings=tuple(self.warnings),
            sources=tuple(self.sources),
            sets=tuple(self.sets),
            gates=tuple(self.gates),
            files=tuple(self.files),
            place=lambda path: place_of(self.root, steps(path)),
            secrets=self.hidden(),
        )

    def hidden(self) -> frozenset[str]:
        """Return the secrets themselves."""
        return frozenset([*secret_texts(self.root, self.secrets), *addresses(self.root)])

    def resolve(self) -> None:
        """Read, merge and expand into ``root``."""
        on, warnings = parse(self.gates)
        self.warnings += warnings
        append = "confmap.enableMergeAppendOption" in on
        self.files.update(dict.fromkeys(local_files(self.sources)))
        for uri in filter(can_be_changed_on_the_way, self.sources):
            what, fix = NO_TLS
            self.warnings.append(Problem("", what, fix, Place(public(uri))))
        expander = Expander(self.problems, self.warnings, self.files)
        node = expander.expand(gather(self.sources, self.sets, append=append))
        assert isinstance(node, Mapping)
        self.root = node
        self.resolved = True

    def _check(
        self,
    ) -> tuple[Components, Pipelines, tuple[ComponentId, ...], Telemetry, JournalConfig]:
        components = Components(self.registry, self.root, self.problems, self.warnings)
        self.secrets, self.unclear = components.secrets, components.unclear
        sections = [*Kind, "service"]
        for key, entry in self.root.entries.items():
            if key not in sections:
                self._unknown_section(key, entry)
        service_entry = self.root.entries.get("service")
        service = self._service(service_entry)
        self._files(child(service, "components"))
        components.read()
        telemetry = self._telemetry(service, components)
        journal = self._journal(service, components)
        written = components.written
        extensions = self._extensions(service, list(written[Kind.EXTENSION]))
        self._references(written)
        at = service_entry.place if service_entry else Place(self._name())
        pipelines = Pipelines(components.factories, written, self.problems, self.warnings)
        named = entry_of(service, "pipelines") or Entry(at, Scalar(None, "", at))
        if "pipelines" not in self.root.entries or not is_null(named.node):
            pipelines.read(named.node, named.place)
        if not self.problems:
            self._unused(components, pipelines, extensions)
        return components, pipelines, extensions, telemetry, journal

    def _name(self) -> str:
        return public(self.sources[0]) if self.sources else "--config"

    def _unknown_section(self, key: str, entry: Entry) -> None:
        self.unclear.add((key,))
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
            self._wrong(("service",), f"{kind_of(entry.node)}, not a map", entry.place, fix)
            self.unclear.add(("service",))
            return empty
        for key, item in entry.node.entries.items():
            if key not in SERVICE_KEYS:
                fix = suggestion(key, SERVICE_KEYS)
                self._wrong(("service", key), "is not an option here", item.place, fix)
                self.unclear.add(("service", key))
        return entry.node

    def _files(self, node: Node | None) -> None:
        """Take the Python files of ``service.components``, beside the configuration."""
        for number, item in enumerate(_items(node)):
            path: Path = ("service", "components", number)
            if not isinstance(item, Scalar) or not item.text.endswith(".py"):
                self._wrong(path, f"{describe(item)}, not a Python file", item.place, "name a .py")
                continue
            if is_remote(item):
                what = "is named by a source from the network, which may not run code here"
                self._wrong(path, what, item.place, "name it in a local file or with --set")
                continue
            file = FilePath(self._folder(item.place), item.text)
            self.files[file] = None
            there = [kind for kind in Kind if file.stem in self.registry.names(kind)]
            try:
                replaced = set(there) & set(self.registry.add_file(file))
            except BrokenComponent as error:
                self._wrong(path, f"'{item.text}' {error}", item.place)
                continue
            for kind in replaced:
                what = f"'{item.text}' takes the place of the {kind.singular} '{file.stem}'"
                fix = "rename the file if that is not meant"
                self.warnings.append(Problem(dotted(path), what, fix, item.place))

    @staticmethod
    def _folder(place: Place) -> FilePath:
        return FilePath() if split(place.source) else FilePath(place.source).parent

    def _telemetry(self, service: Mapping, components: Components) -> Telemetry:
        entry = service.entries.get("telemetry")
        if entry is None or is_null(entry.node):
            return Telemetry()
        found = components.validated(TelemetryConfig, entry, ("service", "telemetry"))
        return normal(found) if isinstance(found, TelemetryConfig) else Telemetry()

    def _journal(self, service: Mapping, components: Components) -> JournalConfig:
        entry = service.entries.get("journal")
        if entry is None or is_null(entry.node):
            return JournalConfig()
        found = components.validated(JournalConfig, entry, ("service", "journal"))
        return found if isinstance(found, JournalConfig) else JournalConfig()

    def _extensions(
        self, service: Mapping, configured: Several[ComponentId]
    ) -> tuple[ComponentId, ...]:
        found: list[ComponentId] = []
        node = child(service, "extensions")
        if isinstance(node, Mapping):
            path: Path = ("service", "extensions")
            self._wrong(path, "is a map, not a list of ids", node.place, "write [a, b]")
        for number, item in enumerate(_items(node)):
            path = ("service", "extensions", number)
            parsed = parse_id(item.text) if isinstance(item, Scalar) else describe(item)
            if isinstance(parsed, str):
                self._wrong(path, parsed, item.place, "write the id of an extension")
                continue
            id = ComponentId(*parsed)
            if id not in configured:
                assert isinstance(item, Scalar)
                self._not_configured(path, item, configured)
            elif id not in found:
                found.append(id)
        return tuple(found)

    def _not_configured(self, path: Path, node: Scalar, configured: Several[ComponentId]) -> None:
        name = node.origin or node.text  # what a variable brings may be anything
        what = f"'{name}' is not configured under extensions"
        options = [str(id) for id in configured]
        fix = suggestion(name, options) if options else f"write '{name}:' under extensions"
        self._wrong(path, what, node.place, fix)

    def _references(self, written: Written) -> None:
        """Check the extensions that components name: authenticators and storage."""
        listed = _items(child(child(self.root, "service"), "extensions"))
        started = {item.text for item in listed if isinstance(item, Scalar)}
        configured = list(written[Kind.EXTENSION])
        for kind in Kind:
            for id, entry in written[kind].items():
                for path, node in _named(entry.node, (kind.value, str(id))):
                    if node.text not in map(str, configured):
                        self._not_configured(path, node, configured)
                    elif node.text not in started:
                        what = f"'{node.text}' is configured and not started"
                        fix = f"write '{node.text}' under service.extensions"
                        self._wrong(path, what, node.place, fix)

    def _unused(
        self, components: Components, pipelines: Pipelines, extensions: Several[ComponentId]
    ) -> None:
        written = components.written
        idle = [(*item, "in no pipeline") for item in unused(written, pipelines.uses)]
        for id in written[Kind.EXTENSION]:
            if id not in extensions:
                idle.append((Kind.EXTENSION, id, "not in service.extensions"))
        for kind, id, where in idle:
            spec = components.sound.get((kind, id))
            if spec is not None:
                path = dotted((kind.value, str(id)))
                what = f"is {where}, so it does nothing"
                self.warnings.append(Problem(path, what, None, spec.place))

    def _wrong(self, path: Path, message: str, place: Place, fix: str | None = None) -> None:
        self.problems.append(Problem(dotted(path), message, fix, place))

    def _tidy(self, problems: list[Problem]) -> list[Problem]:
        """Return them once each, in the order of the sources and their lines."""
        problems = [
            replace(
                p, message=without_credentials(p.message), fix=p.fix and without_credentials(p.fix)
            )
            for p in problems
        ]
        order = {public(uri): number for number, uri in enumerate(self.sources)}

        def key(problem: Problem) -> tuple[int, int, int]:
            place = problem.place or Place("")
            return order.get(place.source, len(order)), place.line or 0, place.column or 0

        return sorted(dict.fromkeys(problems), key=key)


def _items(node: Node | None) -> tuple[Node, ...]:
    if isinstance(node, Sequence):
        return node.items
    return (node,) if isinstance(node, Scalar) and not is_null(node) else ()


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
