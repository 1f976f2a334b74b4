"""Paths into a configuration, and where they stand."""

import re
from collections.abc import Iterable

from heliograph.errors import Place
from heliograph.pipeline.component import Kind
from heliograph.pipeline.config.yaml_source import Entry, Mapping, Node, Scalar, Sequence

Path = tuple[str | int, ...]

_STEP = re.compile(r"\[(\d+)\]|([^.\[]+)")
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|tokens?$|api_?key|credential|authorization|private_key|key_pem"
    r"|^(request_|response_|custom_)?headers$",
    re.IGNORECASE,
)
_SECTIONS = tuple(Kind)
HIDDEN = "**********"


def dotted(path: Iterable[str | int]) -> str:
    """Return ``receivers.otlp.protocols.grpc`` or ``processors.resource.attributes[0].key``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def steps(text: str) -> Path:
    """Return the path that ``dotted`` would write as ``text``."""
    return tuple(int(number) if number else name for number, name in _STEP.findall(text))


def child(node: Node | None, step: str | int) -> Node | None:
    """Return what stands under a key or at a list's position, None when nothing does."""
    entry = entry_of(node, step)
    if entry is not None:
        return entry.node
    if isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def entry_of(node: Node | None, step: str | int) -> Entry | None:
    """Return the key and value of a map's step."""
    return node.entries.get(str(step)) if isinstance(node, Mapping) else None


def existing(node: Node, path: Path) -> tuple[Path, Node]:
    """Return as much of the path as is written, and what stands there."""
    walked: list[str | int] = []
    for step in path:
        below = child(node, step)
        if below is None:
            break
        walked.append(step)
        node = below
    return tuple(walked), node


def place_of(node: Node, path: Path) -> Place:
    """Return where a path stands: a scalar's value, the key of anything else or of its parent."""
    place = node.place
    for step in path:
        entry = entry_of(node, step)
        below = child(node, step)
        if below is None:
            break
        node = below
        is_value = entry is None or (isinstance(below, Scalar) and below.text != "")
        place = below.place if is_value or entry is None else entry.place
    return place


def looks_secret(path: Path) -> bool:
    """Tell whether a name on the path says that what stands there is nobody's business.

    The ids of components say nothing.
    """
    names = path[2:] if path[:1] and path[0] in _SECTIONS else path
    return any(isinstance(step, str) and _SECRET_NAME.search(step) for step in names)
