"""Attribute actions: the ``attributes:`` list that the resource and attributes processors share.

Source: the Collector's internal/coreinternal/attraction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from heliograph.errors import Problem
from heliograph.otlp import (
    Context,
    Convert,
    Copy,
    Delete,
    DeleteMatching,
    Edit,
    Edits,
    Extract,
    Hash,
    Set,
    attribute_path,
    regex_groups,
)
from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.fields import Field

Name = Literal["insert", "update", "upsert", "delete", "hash", "extract", "convert"]
_WHEN: Mapping[str, Literal["always", "missing", "present"]] = {
    "insert": "missing",
    "update": "present",
    "upsert": "always",
}
_SOURCES = ("value", "from_attribute", "from_context")
_TAKES = {
    "insert": {"key", "default_value", *_SOURCES},
    "update": {"key", "default_value", *_SOURCES},
    "upsert": {"key", "default_value", *_SOURCES},
    "delete": {"key", "pattern"},
    "hash": {"key", "pattern"},
    "extract": {"key", "pattern"},
    "convert": {"key", "converted_type"},
}


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class Action(ComponentConfig):
    """One change to a map of attributes."""

    key: str = Field("", description="The attribute to change.")
    action: Annotated[Name, BeforeValidator(_lower)] = Field(
        description="insert: when missing; update: when present; upsert: always; delete; "
        "hash: its SHA-256 in hex; extract: named groups of pattern become attributes; "
        "convert: to converted_type."
    )
    value: Any = Field(None, description="The value to set: a scalar, a list or a map.")
    from_attribute: str = Field("", description="Copy the value of this attribute.")
    from_context: str = Field(
        "",
        description="Take the value from the request: metadata.NAME (the receiver needs "
        "include_metadata: true), auth.CLAIM or client.address; NAME alone is metadata.NAME.",
    )
    default_value: Any = Field(
        None, description="The value to set when from_attribute or from_context has none."
    )
    pattern: str = Field(
        "",
        description="Regular expression: with delete and hash the names of the attributes, "
        "with extract named groups over the value of key.",
    )
    converted_type: Literal["int", "double", "string"] | None = Field(
        None, description="Type that convert makes of the value."
    )

    def check(self) -> Iterator[Problem]:
        given = self.model_fields_set - {"action"}
        for name in sorted(given - _TAKES[self.action]):
            yield Problem(name, f"has no meaning with action {self.action}", fix="remove it")
        if self.action in ("delete", "hash"):
            if not self.key and not self.pattern:
                yield Problem("key", f"is missing; {self.action} needs key or pattern")
        elif not self.key:
            yield Problem("key", f"is missing; {self.action} needs the attribute's name")
        yield from self._check_source(given)
        yield from self._check_pattern()
        if self.action == "convert" and self.converted_type is None:
            yield Problem("converted_type", "is missing", fix="use int, double or string")

    def _check_source(self, given: set[str]) -> Iterator[Problem]:
        sources = [name for name in _SOURCES if name in given]
        if self.action not in _WHEN:
            return
        if len(sources) > 1:
            yield Problem(sources[1], f"stands beside {sources[0]}; only one of them counts")
        elif not sources and self.default_value is None:
            yield Problem(
                "action",
                f"is {self.action}, with nothing to set",
                fix="give value, from_attribute or from_context",
            )

    def _check_pattern(self) -> Iterator[Problem]:
        if self.action == "extract" and not self.pattern:
            yield Problem("pattern", "is missing; extract needs named groups: ^(?P<name>.*)$")
        if not self.pattern:
            return
        try:
            groups = regex_groups(self.pattern)
        except ValueError as error:
            yield Problem("pattern", f"is not a regular expression: {error}")
            return
        if self.action == "extract" and (not groups or None in groups):
            found = "a group without a name" if groups else "no named group"
            yield Problem("pattern", f"has {found}", fix="name each: (?P<name>…)")


class Actions:
    """A list of actions, compiled once for one map.

    Args:
        actions: what to do, in order.
        attributes: path of the map: ``attributes`` or ``resource.attributes``.
    """

    def __init__(self, actions: Sequence[Action], attributes: str) -> None:
        self._actions = actions
        self._attributes = attributes
        self._from_context = [action.from_context for action in actions if action.from_context]
        self._compiled: dict[tuple[str | None, ...], Edits] = {}

    def edits(self, context: Context) -> Edits:
        """Return the edits for batches of this context; compiled once per distinct value."""
        values = tuple(context_value(context, source) for source in self._from_context)
        edits = self._compiled.get(values)
        if edits is None:
            if len(self._compiled) >= 1000:
                self._compiled.clear()
            edits = self._compiled[values] = Edits(list(self._compile(iter(values))))
        return edits

    def _compile(self, values: Iterator[str | None]) -> Iterator[Edit]:
        for action in self._actions:
            path = attribute_path(self._attributes, action.key)
            match action.action:
                case "insert" | "update" | "upsert":
                    yield from self._set(action, path, values)
                case "delete":
                    if action.key:
                        yield Delete(path)
                    if action.pattern:
                        yield DeleteMatching(self._attributes, action.pattern)
                case "hash":
                    if action.key:
                        yield Hash(path)
                    if action.pattern:
                        yield Hash(self._attributes, action.pattern)
                case "extract":
                    yield Extract(path, action.pattern)
                case "convert":
                    assert action.converted_type is not None, "checked with the configuration"
                    yield Convert(path, action.converted_type)

    def _set(self, action: Action, path: str, values: Iterator[str | None]) -> Iterator[Edit]:
        when = _WHEN[action.action]
        if action.from_attribute:
            source = attribute_path(self._attributes, action.from_attribute)
            # The default first: where there is a source, the copy wins over it.
            if action.default_value is not None and when != "missing":
                yield Set(path, action.default_value, when=when)
            yield Copy(path, source, when=when)
            if action.default_value is not None and when == "missing":
                yield Set(path, action.default_value, when=when)
            return
        value: Any = next(values) if action.from_context else action.value
        if value is None:
            value = action.default_value
        if value is not None:
            yield Set(path, value, when=when)


def context_value(context: Context, source: str) -> str | None:
    """Return what ``from_context`` names; several values of one name are joined with ``;``."""
    if source == "client.address":
        return context.peer
    if source.startswith("auth."):
        return context.auth.get(source.removeprefix("auth."))
    values = context.metadata.get(source.removeprefix("metadata.").lower())
    return ";".join(values) if values else None


def problems(actions: Sequence[Any], path: str) -> Iterator[Problem]:
    """Check every action; paths are ``path[index].field``."""
    for index, action in enumerate(actions):
        for problem in action.check():
            yield problem.under(f"{path}[{index}]")
