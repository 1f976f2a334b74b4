"""Which module a YAML type is. One line a component.

Types of outside packages come from the entry-point group ``heliograph.components``: an entry
named ``processors.redact`` whose value is the module. A ``.py`` file that the configuration
names under ``service.components`` is a component of the type that the file is called.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from weakref import WeakValueDictionary

from heliograph.pipeline.component import ComponentConfig, Kind

ENTRY_POINTS = "heliograph.components"

BUILTIN: dict[tuple[Kind, str], str] = {
    (Kind.EXPORTER, "otlp"): "heliograph.exporters.otlp",
    (Kind.EXPORTER, "otlphttp"): "heliograph.exporters.otlphttp",
    (Kind.CONNECTOR, "forward"): "heliograph.connectors.forward",
    (Kind.EXPORTER, "debug"): "heliograph.exporters.debug",
    (Kind.EXPORTER, "file"): "heliograph.exporters.file",
    (Kind.EXPORTER, "loki"): "heliograph.exporters.loki",
    (Kind.EXPORTER, "nop"): "heliograph.exporters.nop",
    (Kind.EXPORTER, "prometheus"): "heliograph.exporters.prometheus",
    (Kind.EXTENSION, "basicauth"): "heliograph.extensions.basicauth",
    (Kind.EXTENSION, "bearertokenauth"): "heliograph.extensions.bearertokenauth",
    (Kind.EXTENSION, "file_storage"): "heliograph.extensions.file_storage",
    (Kind.EXTENSION, "health_check"): "heliograph.extensions.health_check",
    (Kind.PROCESSOR, "attributes"): "heliograph.processors.attributes",
    (Kind.PROCESSOR, "batch"): "heliograph.processors.batch",
    (Kind.PROCESSOR, "memory_limiter"): "heliograph.processors.memory_limiter",
    (Kind.PROCESSOR, "resource"): "heliograph.processors.resource",
    (Kind.RECEIVER, "otlp"): "heliograph.receivers.otlp",
}
"""(section, type) -> module."""

ALIASES: dict[tuple[Kind, str], str] = {
    (Kind.EXPORTER, "otlp_grpc"): "otlp",
    (Kind.EXPORTER, "otlp_http"): "otlphttp",
}
"""(section, other name) -> type."""


_FILES: WeakValueDictionary[tuple[Path, bytes], ModuleType] = WeakValueDictionary()
"""(file, text) -> module, for as long as something runs that came from it."""


class BrokenComponent(Exception):
    """A component is registered, and cannot be used; the text says why."""


class Registry:
    """The components that there are: built in, installed, and from files.

    ``builtin`` narrows what is built in.
    """

    def __init__(self, builtin: Mapping[tuple[Kind, str], str] = BUILTIN) -> None:
        self._modules: dict[tuple[Kind, str], str | ModuleType] = {**_installed(), **builtin}

    def add_file(self, path: Path) -> list[Kind]:
        """Take the component of a Python file; return the sections that it can stand in.

        The same text is the same module, so that a reload can tell what has changed.
        Raises: BrokenComponent.
        """
        try:
            text = path.read_bytes()
        except OSError:
            raise BrokenComponent("no such Python file") from None
        key = (path.absolute(), text)
        module = _FILES.get(key)
        if module is None:
            module = _FILES[key] = _module(path, text)
        name = module.__name__
        kinds = [
            kind
            for kind in Kind
            if getattr(getattr(module, kind.class_name, None), "__module__", "") == name
        ]
        if not kinds:
            names = ", ".join(kind.class_name for kind in Kind)
            raise BrokenComponent(f"has no class named {names}")
        for kind in kinds:
            self._modules[kind, path.stem] = _sound(module, kind)
        return kinds

    def types(self, kind: Kind) -> list[str]:
        """Return the types of a section, without other names."""
        return sorted(type for section, type in self._modules if section is kind)

    def names(self, kind: Kind) -> list[str]:
        """Return the types of a section and their other names."""
        aliases = (
            name
            for (section, name), type in ALIASES.items()
            if section is kind and (kind, type) in self._modules
        )
        return sorted([*self.types(kind), *aliases])

    def module(self, kind: Kind, type: str) -> ModuleType | None:
        """Return the module of a type, None when there is no such type.

        Raises: BrokenComponent when it is there and cannot be imported.
        """
        key = (kind, ALIASES.get((kind, type), type))
        found = self._modules.get(key)
        if isinstance(found, str):
            try:
                module = importlib.import_module(found)
            except Exception as error:
                raise BrokenComponent(
                    f"its module {found} cannot be imported: {type_name(error)}: {error}"
                ) from error
            found = self._modules[key] = _sound(module, kind)
        return found


def _module(path: Path, text: bytes) -> ModuleType:
    """Run the text; compiled code that lies about is not looked at, since it may be of another."""
    name = f"heliograph_component_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compile(text, path, "exec"), vars(module))  # noqa: S102 - the user's own component
    except Exception as error:
        if before is not None:
            sys.modules[name] = before
        raise BrokenComponent(f"cannot be loaded: {type(error).__name__}: {error}") from error
    return module


def type_name(value: object) -> str:
    """Return the name of a value's class."""
    return type(value).__name__


def _installed() -> dict[tuple[Kind, str], str | ModuleType]:
    found: dict[tuple[Kind, str], str | ModuleType] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        section, _, name = entry.name.partition(".")
        if section in list(Kind) and name:
            found[Kind(section), name] = entry.value
    return found


def _sound(module: ModuleType, kind: Kind) -> ModuleType:
    config = getattr(module, "Config", None)
    if not (isinstance(config, type) and issubclass(config, ComponentConfig)):
        raise BrokenComponent(f"{module.__name__} has no Config that derives from ComponentConfig")
    if not hasattr(module, kind.class_name):
        raise BrokenComponent(f"{module.__name__} has no class named {kind.class_name}")
    signals = getattr(getattr(module, kind.class_name), "signals", None)
    if kind is not Kind.EXTENSION and not signals:
        raise BrokenComponent(f"{module.__name__}.{kind.class_name} does not say its signals")
    return module


def first_line(module: ModuleType) -> str:
    """Return the first sentence of a component's documentation."""
    return (module.__doc__ or "").strip().partition("\n")[0]


def stability(module: ModuleType) -> str:
    """Return how settled a component is: its ``STABILITY``, beta when it does not say."""
    return str(getattr(module, "STABILITY", "beta"))


def modules(registry: Registry) -> Iterator[tuple[Kind, str, ModuleType]]:
    """Yield each usable component of a registry."""
    for kind in Kind:
        for name in registry.types(kind):
            try:
                module = registry.module(kind, name)
            except BrokenComponent:
                continue
            if module is not None:
                yield kind, name, module
