"""Paths into a configuration, and where they stand."""

import re
from collections.abc import Iterable, Iterator

from heliograph.errors import Place
from heliograph.pipeline.component import Kind
from heliograph.pipeline.config.yaml_source import Entry, Mapping, Node, Scalar, Sequence
from heliograph.pipeline.redaction import HIDDEN as HIDDEN
from heliograph.pipeline.redaction import credentials

Path = tuple[str | int, ...]

_STEP = re.compile(r"\[(\d+)\]|([^.\[]+)")
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|tokens?$|api_?key|credential|authorization|private_key|key_pem"
    r"|^(request_|response_|custom_)?headers$",
    re.IGNORECASE,
)
_CREDENTIAL_HEADER = re.compile("auth|token|key|secret|pass|cookie|credential", re.IGNORECASE)
_CREDENTIAL_LENGTH = 16
_SECTIONS = tuple(Kind)


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


def leaves(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Yield every scalar of a node with its path below it."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from leaves(entry.node, (*path, key))
    else:
        for number, item in enumerate(node.items):
            yield from leaves(item, (*path, number))


def secret_texts(root: Node, secrets: Iterable[Path]) -> Iterator[str]:
    """Yield what stands at and below some paths, but for what says nothing of a secret.

    Of headers, which are all hidden where they stand, only what looks like a credential: an
    ordinary word would be blotted out wherever it is written.
    """
    for secret in secrets:
        walked, found = existing(root, secret)
        if walked != secret:
            continue
        for below, scalar in leaves(found):
            path = (*secret, *below)
            is_ordinary = (
                _in_headers(path)
                and len(scalar.text) < _CREDENTIAL_LENGTH
                and not _CREDENTIAL_HEADER.search(str(path[-1]))
            )
            if scalar.text and not isinstance(scalar.value, bool) and not is_ordinary:
                yield scalar.text


def _in_headers(path: Path) -> bool:
    return any(isinstance(step, str) and step.lower().endswith("headers") for step in path[2:])


def addresses(node: Node) -> Iterator[str]:
    """Yield the credentials of the addresses in a node."""
    for _, scalar in leaves(node):
        yield from credentials(scalar.text)


def brought(node: Node) -> Iterator[str]:
    """Yield what expansions brought into a node."""
    yield from (scalar.text for _, scalar in leaves(node) if scalar.origin and scalar.text)
