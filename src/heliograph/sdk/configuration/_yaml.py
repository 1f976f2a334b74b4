"""Reading a YAML file so that every problem is found at once, with its place and its fix.

Spec: Configuration Data Model, environment variable substitution.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from heliograph.sdk.configuration._configured import ConfigurationError

try:
    import yaml
except ImportError as error:
    raise ImportError("OTEL_CONFIG_FILE needs PyYAML: pip install pyyaml") from error

__all__ = ["ConfigurationError", "Item", "Map", "Source", "core_schema", "near", "read"]

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_INSIDE = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NAMED = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", "+.inf"), float("inf")),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}


class Source:
    """A file, and what is wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._problems: list[tuple[int, int, str]] = []

    def problem(self, node: Any, path: str, said: str, fix: str = "") -> None:
        """Note what is wrong at a node."""
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        place = f"{self.name}:{line}:{column}: {path or 'the file'}: {said}"
        problem = (line, column, place + (f"\n    fix: {fix}" if fix else ""))
        if problem not in self._problems:
            self._problems.append(problem)

    def check(self) -> None:
        """Raises: ConfigurationError when something is wrong."""
        if self._problems:
            found = sorted(self._problems, key=lambda problem: problem[:2])
            raise ConfigurationError("\n".join(text for _, _, text in found))


class Item:
    """A value in the file: a scalar, a list or a map."""

    def __init__(self, node: Any, path: str, source: Source) -> None:
        self.node, self.path, self.source = node, path, source

    def problem(self, said: str, fix: str = "") -> None:
        """Note what is wrong here."""
        self.source.problem(self.node, self.path, said, fix)

    def plain(self) -> Any:
        """Return what is here as Python values, variables put in."""
        if isinstance(self.node, yaml.SequenceNode):
            return [item.plain() for item in self.items()]
        if isinstance(self.node, yaml.MappingNode):
            return {
                key.value: Item(value, f"{self.path}.{key.value}".lstrip("."), self.source).plain()
                for key, value in self.node.value
            }
        return self._scalar()

    def _scalar(self) -> Any:
        # What "$$" stands for is no part of a reference, so it is split off first.
        parts = self.node.value.split("$$")
        text = "$".join(_REFERENCE.sub(self._put_in, part) for part in parts)
        if self.node.style is not None or self.node.tag == "!":
            return text
        return core_schema(text)

    def _put_in(self, found: re.Match[str]) -> str:
        inside = _INSIDE.fullmatch(found[1])
        if inside is None:
            self.problem(f"{found[0]} is no reference", "write ${NAME} or ${NAME:-default}")
            return ""
        return os.environ.get(inside[1], "") or inside[2] or ""

    def made(self, make: Callable[[], Any]) -> Any:
        """Return what this makes of what is here. Raises: ConfigurationError when that fails."""
        try:
            return make()
        except (ConfigurationError, ImportError, OSError) as error:
            raise error
        except Exception as error:
            self.problem(f"cannot be made: {type(error).__name__}: {error}")
            self.source.check()

    def items(self) -> list[Item]:
        """Return the elements of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.problem("is no list")
            return []
        return [
            Item(node, f"{self.path}[{index}]", self.source)
            for index, node in enumerate(self.node.value)
        ]

    def map(self) -> Map:
        """Return the map that is here; nothing is an empty map."""
        return Map(self)


def core_schema(text: str) -> Any:
    """Return what unquoted text stands for. Spec: YAML 1.2, core schema."""
    if text in _NAMED:
        return _NAMED[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0 if text[:2] in {"0x", "0o"} else 10)
    return float(text) if _NUMBER.fullmatch(text) else text


class Map:
    """The keys of a map. Those that nobody asked for are problems when `done` is called."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self._known: list[str] = []
        self._found: dict[str, Item] = {}
        self._keys: dict[str, Any] = {}
        if isinstance(item.node, yaml.MappingNode):
            for key, value in item.node.value:
                if not isinstance(key, yaml.ScalarNode):
                    item.source.problem(key, item.path, "has a key that is no name")
                    continue
                path = f"{item.path}.{key.value}".lstrip(".")
                if key.value in self._found:
                    item.source.problem(key, path, "stands there twice")
                self._found[key.value] = Item(value, path, item.source)
                self._keys[key.value] = key
        elif item.plain() is not None:
            item.problem("is no map")

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def names(self) -> list[str]:
        """Return the keys."""
        return list(self._found)

    def get(self, key: str, *, required: bool = False) -> Item | None:
        """Return what a key stands for; None when it is absent."""
        self._known.append(key)
        found = self._found.get(key)
        if found is None and required:
            self.item.problem(f"has no {key}", f"add {key}")
        return found

    def map(self, key: str, *, required: bool = False) -> Map | None:
        """Return the map of a key; None when it is absent."""
        found = self.get(key, required=required)
        return None if found is None else found.map()

    def elements(self, key: str, *, required: bool = False) -> list[Item]:
        """Return the elements of a key's list; none when it is absent. An empty list is a problem:
        nobody knows whether it means none or the default."""
        found = self.get(key, required=required)
        if found is None or (isinstance(found.node, yaml.ScalarNode) and found.plain() is None):
            return []
        items = found.items()
        if not items and isinstance(found.node, yaml.SequenceNode):
            found.problem("is an empty list", f"leave {key} out, or add an element")
        return items

    def value(self, key: str, kind: type, *, required: bool = False) -> Any:
        """Return the scalar of a key, of this type; None when it is absent or null."""
        found = self.get(key, required=required)
        value = None if found is None else found.plain()
        if found is None or value is None:
            if found is not None and required:
                found.problem("is empty")
            return None
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not fits:
            names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
            found.problem(f"is {value!r}, not {names[kind]}")
            return None
        return value

    def text(self, key: str, *, required: bool = False) -> Any:
        """Return text; None when it is absent."""
        return self.value(key, str, required=required)

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        found = []
        for item in self.elements(key):
            value = item.plain()
            if isinstance(value, str):
                found.append(value)
            else:
                item.problem(f"is {value!r}, not text", "put it in quotes")
        return found

    def number(self, key: str, kind: type = int, *, least: float = 0, most: float = 2**63) -> Any:
        """Return a number within bounds; None when it is absent."""
        value = self.value(key, kind)
        if value is not None and not least <= value <= most:
            upper = f" and at most {most:g}" if most < 2**63 else ""
            self._found[key].problem(f"is {value}, not at least {least:g}{upper}")
            return None
        return value

    def choice(self, key: str, allowed: Iterable[str]) -> Any:
        """Return one of these names; None when it is absent."""
        value, names = self.text(key), list(allowed)
        if value is None or value in names:
            return value
        self._found[key].problem(f"is {value!r}, not one of {', '.join(names)}", near(value, names))
        return None

    def one(self) -> tuple[str, Item] | None:
        """Return the only key with its value."""
        if len(self._found) != 1:
            self.item.problem(f"has {len(self._found)} keys, not one")
            return None
        ((name, item),) = self._found.items()
        return name, item

    def done(self) -> None:
        """Note the keys that nobody asked for."""
        for name, item in self._found.items():
            if name not in self._known:
                fix = near(name, self._known) or f"known are {', '.join(self._known) or 'none'}"
                item.source.problem(self._keys[name], item.path, "is not an option here", fix)


def near(name: str, known: list[str]) -> str:
    """Return a fix where a name is nearly one that is known."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else ""


def _said(path: str, error: Any) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"{path}: is no YAML: {error}"
    context = f" ({error.context})" if getattr(error, "context", None) else ""
    return f"{path}:{mark.line + 1}:{mark.column + 1}: is no YAML: {error.problem}{context}"


def read(path: str) -> tuple[Item, Source]:
    """Parse a file. Raises: OSError; ConfigurationError when it is no YAML."""
    source = Source(path)
    with open(path, encoding="utf-8") as file:
        try:
            node = yaml.compose(file, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise ConfigurationError(_said(path, error)) from error
    if node is None:
        raise ConfigurationError(f'{path}: the file is empty\n    fix: add file_format: "1.0"')
    return Item(node, "", source), source
