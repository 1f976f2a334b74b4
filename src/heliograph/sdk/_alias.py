"""`opentelemetry.sdk` and `opentelemetry.exporter` where they are not installed: our modules."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    # What is imported here costs every program below `heliograph run` its time.
    from collections.abc import Mapping, Sequence
    from types import ModuleType
    from typing import Any

ALIASES = {
    "opentelemetry.sdk": "heliograph.sdk",
    "opentelemetry.exporter": "heliograph.sdk.exporter",
}
"""Packages that get modules of ours; the packages themselves stay what they are."""

SINGLE = {
    "opentelemetry.processor.baggage": "heliograph.sdk.processor.baggage",
    "opentelemetry.propagators.b3": "heliograph.sdk.propagators.b3",
}
"""Packages of their own, beside others that we have not; installed ones are never replaced."""


def install_aliases(*, replace: bool = False) -> None:
    """Let ``import opentelemetry.sdk…`` and ``opentelemetry.exporter…`` find our modules.

    Modules of an installed ``opentelemetry-sdk`` are found before ours, unless ``replace``. What
    others have installed into the same namespaces, as ``opentelemetry.sdk.extension.aws``, stays.
    What was imported before stays, too. Calling it again changes nothing.
    """
    if any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _ChildFinder())
    sys.meta_path.append(_ParentFinder())
    sys.meta_path.append(AliasFinder())
    if replace:
        sys.meta_path.insert(0, AliasFinder(ALIASES))


class AliasFinder:
    """Finds our module for an official name, and nothing where we have none."""

    def __init__(self, packages: Mapping[str, str] = ALIASES | SINGLE) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in ALIASES:
            return _namespace(fullname)
        ours = our_name(fullname, self._packages)
        if ours is None:
            return None
        from importlib.util import find_spec  # noqa: PLC0415 - as above

        try:
            found = find_spec(ours)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return PathFinder.find_spec(fullname, portions(fullname.rpartition(".")[0]))
        # Not a Loader by name: importlib.abc takes as long to import as all of this package.
        loader: Any = _Aliased(ours)
        return ModuleSpec(fullname, loader, is_package=found.parent == ours)


class _ChildFinder(AliasFinder):
    """Finds what is in a package of ours, before anybody loads its files a second time."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if parent is None or not parent.__name__.startswith("heliograph."):
            return None
        return super().find_spec(fullname, path, target)


class _ParentFinder:
    """Finds the namespace around a package of `SINGLE`, where nothing else is installed in it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        is_parent = any(name.startswith(f"{fullname}.") for name in SINGLE)
        return _namespace(fullname) if is_parent else None


def _namespace(fullname: str) -> ModuleSpec | None:
    """Return a namespace package without a place: what is in it is found by name."""
    spec = ModuleSpec(fullname, None, is_package=True)
    spec.submodule_search_locations = []
    return spec


def portions(official: str) -> list[str]:
    """Return the folders of a namespace package, where several distributions may put modules.

    A folder with an ``__init__.py`` belongs to one distribution, whose place we take.
    """
    api = sys.modules["opentelemetry"]
    folders = (os.path.join(path, *official.split(".")[1:]) for path in api.__path__)
    return [
        folder
        for folder in folders
        if os.path.isdir(folder) and not os.path.exists(os.path.join(folder, "__init__.py"))
    ]


def our_name(fullname: str, packages: Mapping[str, str]) -> str | None:
    """Return the name of our module for an official name."""
    for official, ours in packages.items():
        if fullname == official or fullname.startswith(f"{official}."):
            return ours + fullname.removeprefix(official)
    return None


class _Aliased:
    """Hands out a module of ours as it is."""

    def __init__(self, ours: str) -> None:
        self._ours = ours
        self._own: dict[str, object] = {}

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._ours)
        kept = ("__name__", "__loader__", "__package__", "__spec__", "__path__", "__file__")
        self._own = {name: vars(module)[name] for name in kept if name in vars(module)}
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Importing has given the module the names of the alias.
        vars(module).update(self._own)
