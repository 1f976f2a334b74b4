"""YAML as the Collector reads it, with line and column of every key and value.

Scalars follow YAML 1.2's core schema with what go-yaml keeps of 1.1: ``yes``, ``no``, ``on`` and
``off`` are text, ``0777`` is octal, dates are text. Merge keys work; a repeated key is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from heliograph.errors import ConfigError, Place, Problem
from heliograph.pipeline.config.names import nearest

MAX_DEPTH = 100
MAX_NODES = 100_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|0[0-7_]*|[1-9][0-9_]*)", re.ASCII
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_MAX_DIGITS = 40
_TAG = "tag:yaml.org,2002:"
_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Scalar:
    """A value; ``text`` is what stood there, ``origin`` the ``${…}`` that it came from."""

    value: Any = field(repr=False)  # it may be a secret
    text: str = field(repr=False)
    place: Place
    origin: str | None = None


@dataclass(frozen=True)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True)
class Entry:
    """A key with its place, and the value under it."""

    place: Place
    node: "Node"


@dataclass(frozen=True)
class Mapping:
    """A map; keys are text."""

    entries: dict[str, Entry]
    place: Place


Node = Scalar | Sequence | Mapping


def plain(node: Node) -> Any:
    """Return the value without its places."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(entry.node) for key, entry in node.entries.items()}


def is_null(node: Node) -> bool:
    """Tell whether nothing is written there."""
    return isinstance(node, Scalar) and node.value is None


def resolve(text: str) -> Any:
    """Return what an unquoted scalar means: None, bool, int, float or the text."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in "+-.0123456789" or len(text) > _MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text)
    special = _SPECIAL.get(text.lower())
    return text if special is None else float(special)


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    for prefix, base in (("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)):
        if digits.startswith(prefix) and len(digits) > len(prefix):
            return sign * int(digits[len(prefix) :], base)
    return sign * int(digits)


def read(text: str, source: str) -> Node:
    """Return the one document of ``text``; an empty text is null.

    Raises: ConfigError with all repeated keys, or with the first thing that is not YAML.
    """
    reader = _Reader(text, source)
    node = reader.document()
    if reader.problems:
        raise ConfigError(reader.problems)
    return node


def read_value(text: str, place: Place, origin: str) -> Node:
    """Return what an expansion stands for: a scalar at ``place``, else with the places of ``text``.

    Text stays as it is, quotes and line breaks included; so does what is no YAML.
    """
    text = text.removesuffix("\n")
    try:
        node = read(text, origin)
    except ConfigError:
        return Scalar(text, text, place, origin)
    if isinstance(node, Scalar):
        value = text if isinstance(node.value, str) else node.value
        return Scalar(value, text, place, origin)
    return node


def moved(node: Node, place: Place, origin: str | None) -> Node:
    """Return the node as if all of it stood at ``place`` and came from ``origin``."""
    if isinstance(node, Scalar):
        return replace(node, place=place, origin=origin)
    if isinstance(node, Sequence):
        return Sequence(tuple(moved(item, place, origin) for item in node.items), place)
    entries = {
        key: Entry(place, moved(entry.node, place, origin)) for key, entry in node.entries.items()
    }
    return Mapping(entries, place)


class _Reader:
    """Builds nodes from the parser's events."""

    def __init__(self, text: str, source: str) -> None:
        self.problems: list[Problem] = []
        self._text = text.removeprefix("\ufeff")
        self._source = source
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._count = 0

    def document(self) -> Node:
        odd = _NOT_ALLOWED.search(self._text)
        if odd:
            raise self._stop(
                self._at(odd.start()),
                f"has the character U+{ord(odd[0]):04X}, which YAML does not allow",
                "save the file as UTF-8 text without control characters",
            )
        try:
            return self._document(iter(yaml.parse(self._text, Loader=_LOADER)))
        except yaml.MarkedYAMLError as error:
            raise self._syntax(error) from None

    def _document(self, events: Iterator[Any]) -> Node:
        node: Node = Scalar(None, "", Place(self._source, 1, 1))
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._stop(
                        self._place(event),
                        "begins a second document; a configuration is one",
                        "write the parts into files of their own and name each with --config",
                    )
                node = self._node(next(events), events, 0)
        return node

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        place = self._place(event)
        if depth > MAX_DEPTH:
            raise self._stop(place, f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), place)
        before = self._count
        self._add(1, place)
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._plain_tag(event, "seq", place)
            items = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                items.append(self._node(event, events, depth + 1))
            node = Sequence(tuple(items), place)
        else:
            self._plain_tag(event, "map", place)
            node = self._mapping(events, place, depth)
        if anchor is not None:
            self._anchors[anchor] = (node, self._count - before)
        return node

    def _alias(self, anchor: str, place: Place) -> Node:
        if anchor not in self._anchors:
            known = nearest(anchor, self._anchors)
            raise self._stop(
                place,
                # Which one is not repeated: a password may begin with '*'.
                "names an anchor (what begins with '*') that no line above defines",
                f"did you mean '*{known}'?" if known else "define it above, or quote the value",
            )
        found = self._anchors[anchor]
        if found is None:
            raise self._stop(place, f"is the anchor '{anchor}' inside itself")
        self._add(found[1], place)
        return found[0]

    def _add(self, nodes: int, place: Place) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            raise self._stop(place, f"makes more than {MAX_NODES} values, aliases counted in full")

    def _scalar(self, event: Any, place: Place) -> Scalar:
        text = event.value
        tag = (event.tag or "").removeprefix(_TAG)
        if tag in ("", "!"):
            return Scalar(resolve(text) if event.implicit[0] else text, text, place)
        value = resolve(text)
        kinds = {"str": str, "int": int, "bool": bool, "float": int | float, "null": type(None)}
        if tag not in kinds or (tag != "str" and not isinstance(value, kinds[tag])):
            raise self._tagged(place)
        return Scalar(text if tag == "str" else value, text, place)

    def _plain_tag(self, event: Any, name: str, place: Place) -> None:
        if event.tag not in (None, "!", f"{_TAG}{name}"):
            raise self._tagged(place)

    def _tagged(self, place: Place) -> ConfigError:
        return self._stop(
            place,
            # Which one is not repeated: a password may begin with '!'.
            "has a tag (what begins with '!') that does not fit",
            "remove the tag, or write the value in quotes",
        )

    def _mapping(self, events: Iterator[Any], place: Place, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        merged: list[Mapping] = []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key_place = self._place(event)
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(key, Scalar):
                self._complain(key_place, "is a key that is a list or a map", "write a name")
            elif key.text == "<<" and event.implicit[0]:
                merged += self._merge_sources(value, key_place)
            elif key.text in entries:
                first = entries[key.text].place
                self._complain(
                    key_place,
                    f"'{key.text}' stands here twice; first in line {first.line}",
                    "keep one of the two",
                )
            else:
                entries[key.text] = Entry(key_place, value)
        for mapping in merged:
            entries = {**mapping.entries, **entries}
        return Mapping(entries, place)

    def _merge_sources(self, value: Node, place: Place) -> list[Mapping]:
        """Return the maps of a merge key, the one that counts most first."""
        parts = value.items if isinstance(value, Sequence) else (value,)
        maps = [part for part in parts if isinstance(part, Mapping)]
        if len(maps) < len(parts):
            self._complain(place, "merges what is not a map", "name a map, as in <<: *name")
        return maps

    def _complain(self, place: Place, message: str, fix: str) -> None:
        self.problems.append(Problem("", message, fix, place))

    def _stop(self, place: Place, message: str, fix: str | None = None) -> ConfigError:
        return ConfigError([*self.problems, Problem("", message, fix, place)])

    def _place(self, event: Any) -> Place:
        return Place(self._source, event.start_mark.line + 1, event.start_mark.column + 1)

    def _at(self, index: int) -> Place:
        before = self._text[:index]
        return Place(self._source, before.count("\n") + 1, index - before.rfind("\n"))

    def _syntax(self, error: yaml.MarkedYAMLError) -> ConfigError:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "is not YAML"
        lines = self._text.splitlines()
        at_end = mark is None or mark.line >= len(lines) or "end of stream" in problem
        if at_end and error.context_mark:
            mark = error.context_mark
        if mark is None:
            return self._stop(Place(self._source), f"is not YAML: {problem}")
        line = lines[mark.line] if mark.line < len(lines) else ""
        character = line[mark.column : mark.column + 1]
        message, fix = _explain(problem, error.context or "", line, character)
        return self._stop(Place(self._source, mark.line + 1, mark.column + 1), message, fix)


_SYNTAX = (
    # (what the parser says, what it was doing, our words, the fix)
    (
        "mapping values are not allowed",
        "",
        "has a second ': ' in one line, or is indented deeper than the line above allows",
        "write a value that contains ': ' in quotes, or indent as the other keys",
    ),
    ("end of stream", "quoted", "opens a quote that nothing closes", "close the quote"),
    (
        "",
        "flow",
        "has a '[' or '{' that is not closed, or a ',' missing",
        "close it, or add the ','",
    ),
    ("", "block", "is not indented as the lines above", "begin it in the same column"),
)


def _explain(problem: str, context: str, line: str, character: str) -> tuple[str, str | None]:
    """Return our words for a syntax error of the parser, and a fix."""
    if "\t" in (character, line[: len(line) - len(line.lstrip())]) or "tab character" in problem:
        return "has a tab where YAML wants spaces", "indent with spaces"
    if "cannot start any token" in problem:
        return f"has a value that begins with {character!r}", "write the value in quotes"
    if "flow" in context and "${" in line:
        return (
            "has ${…} without quotes inside { } or [ ], where YAML takes its braces for a map",
            'write it in quotes: "${env:NAME}"',
        )
    for said, doing, message, fix in _SYNTAX:
        if said in problem and doing in context:
            return message, fix
    return f"is not YAML: {problem}", None
