"""``print-config``: the merged and expanded configuration, and where each value came from."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.config.places import HIDDEN, Path, dotted, looks_secret
from heliograph.pipeline.config.yaml_source import Mapping, Node, Scalar, Sequence, resolve
from heliograph.pipeline.redaction import without_credentials

_BREAKS = re.compile("[\x7f\x85\u2028\u2029\ufeff\ud800-\udfff]")
_DOLLAR = re.compile(r"\$(?=[${])")


def as_yaml(loader: Loader, *, redacted: bool = True) -> str:
    """Return YAML that can be loaded again; a comment behind each value says where it stood."""
    shown = _redacted(loader) if redacted else loader.root
    return "".join(f"{line}\n" for line in _lines(shown, 0)) or "{}\n"


def as_json(loader: Loader, *, redacted: bool = True) -> str:
    """Return ``{"config": …, "origins": {path: place}}``."""
    shown = _redacted(loader) if redacted else loader.root
    origins = {dotted(path): _comment(node) for path, node in _leaves(shown, ())}
    return json.dumps({"config": _escaped(shown), "origins": origins}, indent=2) + "\n"


def _redacted(loader: Loader) -> Node:
    return _shown(loader.root, (), loader.secrets | loader.unclear)


def _shown(node: Node, path: Path, secrets: set[Path]) -> Node:
    if isinstance(node, Mapping):
        entries = {
            key: type(entry)(entry.place, _shown(entry.node, (*path, key), secrets))
            for key, entry in node.entries.items()
        }
        return Mapping(entries, node.place)
    if isinstance(node, Sequence):
        items = tuple(_shown(item, (*path, i), secrets) for i, item in enumerate(node.items))
        return Sequence(items, node.place)
    inside = any(path[: len(secret)] == secret for secret in secrets)
    if node.value is None or isinstance(node.value, bool):
        return node
    if inside or looks_secret(path):
        return replace(node, value=HIDDEN, text=HIDDEN)
    if isinstance(node.value, str):
        return replace(node, value=without_credentials(node.value))
    return node


def _comment(node: Node) -> str:
    origin = node.origin if isinstance(node, Scalar) else None
    return f"{node.place} from {origin}" if origin else str(node.place)


def _escaped(node: Node) -> Any:
    """Return the plain value, with the dollars that an expansion would take doubled."""
    if isinstance(node, Mapping):
        return {key: _escaped(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [_escaped(item) for item in node.items]
    return _DOLLAR.sub("$$", node.value) if isinstance(node.value, str) else node.value


def _leaves(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    if isinstance(node, Mapping) and node.entries:
        for key, entry in node.entries.items():
            yield from _leaves(entry.node, (*path, key))
    elif isinstance(node, Sequence) and node.items:
        for number, item in enumerate(node.items):
            yield from _leaves(item, (*path, number))
    else:
        yield path, node


def _lines(node: Node, indent: int) -> Iterator[str]:
    """Yield the lines of a map or a list."""
    pad = " " * indent
    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from _line(f"{pad}{_text(key)}:", entry.node, indent + 2)
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _line(f"{pad}-", item, indent + 2)


def _line(start: str, node: Node, indent: int) -> Iterator[str]:
    below = list(_lines(node, indent))
    if below and start.endswith("-"):
        yield f"{start} {below[0].lstrip()}"
        yield from below[1:]
    elif below:
        yield start
        yield from below
    else:
        value = _escaped(node)
        text = _text(value) if isinstance(node, Scalar) else json.dumps(value)
        yield f"{start} {text}  # {_comment(node)}".replace(":   #", ":  #")


def _text(value: Any) -> str:
    """Return a scalar as YAML that reads back the same, in every version of YAML."""
    if value is None:
        return ""
    if isinstance(value, str):
        quoted = _BREAKS.sub(
            lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False)
        )
        plain = yaml.safe_dump(value, width=10**9, allow_unicode=True).partition("\n")[0]
        if plain != value or isinstance(resolve(value), str):
            breaks = "\n" in value or _BREAKS.search(value) or plain[:1] in "|>"
            return quoted if breaks else plain
        return quoted
    if isinstance(value, float) and not math.isfinite(value):
        return {"inf": ".inf", "-inf": "-.inf"}.get(str(value), ".nan")
    return json.dumps(value)
