"""Entry points of installed packages, read without `importlib.metadata`, which imports `socket`."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

GROUP = "opentelemetry_instrumentor"


class Entry:
    """An entry point: ``module:attribute`` under a name, and the directory of its metadata."""

    __slots__ = ("attribute", "metadata", "module", "name")

    def __init__(self, name: str, module: str, attribute: str, metadata: str) -> None:
        self.name = name
        self.module = module
        self.attribute = attribute
        self.metadata = metadata

    def requires(self) -> list[str]:
        """Return the requirements of its package, as its metadata has them."""
        for name in ("METADATA", "PKG-INFO"):
            try:
                with open(os.path.join(self.metadata, name), encoding="utf-8") as file:
                    head = file.read().partition("\n\n")[0]
            except OSError:
                continue
            lines = head.splitlines()
            return [line[15:] for line in lines if line.startswith("Requires-Dist: ")]
        return []


def entries(group: str = GROUP, found: Iterable[tuple[str, str]] | None = None) -> Iterator[Entry]:
    """Yield the entry points of a group, of all packages or of those that `texts` has found."""
    for metadata, text in texts() if found is None else found:
        if group in text:
            yield from parse(text, group, metadata)


def texts(path: Sequence[str] | None = None) -> Iterator[tuple[str, str]]:
    """Yield the directory of metadata and the entry points of each package that has any; one that
    is found first hides its later copies."""
    seen: set[str] = set()
    for place in sys.path if path is None else path:
        try:
            found = os.listdir(place or ".")
        except OSError:
            continue
        for directory in found:
            if not directory.endswith((".dist-info", ".egg-info")):
                continue
            package = directory.partition("-")[0].lower()
            if package in seen:
                continue
            metadata = os.path.join(place, directory)
            try:
                with open(os.path.join(metadata, "entry_points.txt"), encoding="utf-8") as file:
                    text = file.read()
            except OSError:
                continue
            seen.add(package)
            yield metadata, text


def parse(text: str, group: str, metadata: str = "") -> Iterator[Entry]:
    """Yield the entry points of a group in the text of an ``entry_points.txt``."""
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == group and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            module, _, attribute = value.partition("[")[0].strip().partition(":")
            yield Entry(name.strip(), module.strip(), attribute.strip(), metadata)
