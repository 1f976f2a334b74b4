"""pydantic's errors in our words: where, what is wrong, what to write."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from heliograph.errors import Problem
from heliograph.pipeline.config.names import nearest, suggestion
from heliograph.pipeline.config.places import HIDDEN, Path, dotted, existing, place_of
from heliograph.pipeline.config.shape import describe, keys, model_at
from heliograph.pipeline.config.yaml_source import Node, Scalar

_BOUNDS: dict[str, tuple[str, str, str]] = {
    # pydantic's type -> (name of the bound, what is wrong, fix)
    "greater_than": ("gt", "not above", "use more than"),
    "greater_than_equal": ("ge", "below the least that is allowed,", "use at least"),
    "less_than": ("lt", "not below", "use less than"),
    "less_than_equal": ("le", "above the most that is allowed,", "use at most"),
    "multiple_of": ("multiple_of", "not a multiple of", "use a multiple of"),
}
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "dict": "a map",
    "model": "a map",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
}
_CHOICES = ("literal_error", "enum", "union_tag_invalid")
_FIXED = {
    "missing": "is missing; it has no default",
    "extra_forbidden": "is not an option here",
}


def problems_of(
    error: ValidationError, node: Node, model: type[BaseModel], prefix: Path, secrets: set[Path]
) -> Iterator[tuple[Path, Problem]]:
    """Yield each error once, with its full path and place.

    Of the branches of a union, those that went deepest into what is written count.
    """
    found = [(_written(node, item["loc"], item["type"]), item) for item in error.errors()]
    for path, item in found:
        inside_union = any(
            other != path and other[: len(path)] == path and _sizes(item) for other, _ in found
        )
        if inside_union and not item["type"].startswith("value_error"):
            continue
        full = (*prefix, *path)
        hidden = any(full[: len(secret)] == secret for secret in secrets)
        message, fix = _words(item, node, path, hidden=hidden)
        if item["type"] in _FIXED:
            fix = _option(item["type"], model_at(model, path[:-1]), path)
        yield full, Problem(dotted(full), message, fix, place_of(node, path))


def _sizes(item: Any) -> bool:
    return str(item["type"]).endswith("_type")


def _written(node: Node, loc: tuple[str | int, ...], kind: str) -> Path:
    """Return the path of a pydantic location: without the names of union branches."""
    path: list[str | int] = []
    for number, step in enumerate(loc):
        last = number == len(loc) - 1
        below = existing(node, (*path, step))[0]
        if len(below) == len(path) + 1 or (last and kind in ("missing", "extra_forbidden")):
            path.append(step)
    return tuple(path)


def _words(item: Any, node: Node, path: Path, *, hidden: bool) -> tuple[str, str | None]:
    kind = str(item["type"])
    context = item.get("ctx", {})
    stands = existing(node, path)
    is_now = describe(stands[1], hidden=hidden) if stands[0] == path else "is the default"
    if kind in _FIXED:
        return _FIXED[kind], None
    if kind in _BOUNDS:
        bound, wrong, fix = _BOUNDS[kind]
        return f"{is_now}, {wrong} {_number(context[bound])}", f"{fix} {_number(context[bound])}"
    if kind in _CHOICES:
        return _not_one_of(context, is_now, None if hidden else stands[1])
    handler = _HANDLERS.get(kind)
    if handler is not None:
        return handler(context, is_now)
    wanted = _KINDS.get(kind.removesuffix("_type").removesuffix("_parsing"))
    if wanted:
        return f"{is_now}, not {wanted}", None
    message = f"is not valid ({HIDDEN})" if hidden else str(item["msg"])
    return message[:1].lower() + message[1:], None


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _raised(context: Any, is_now: str) -> tuple[str, str | None]:
    """Return what a validator of ours said; what follows '; write ' is the fix."""
    message, write, fix = str(context.get("error", is_now)).partition("; write ")
    return message, f"write {fix}" if write else None


def _too_short(context: Any, is_now: str) -> tuple[str, str | None]:
    least = context.get("min_length", 1)
    return ("is empty" if least == 1 else f"{is_now}, shorter than {least}"), None


def _too_long(context: Any, is_now: str) -> tuple[str, str | None]:
    return f"{is_now}, longer than {context.get('max_length')}", None


def _not_one_of(context: Any, is_now: str, node: Node | None) -> tuple[str, str | None]:
    options = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
    written = node.text if isinstance(node, Scalar) and node.origin is None else ""
    found = nearest(written, options.split(", "))
    return f"{is_now}, not one of {options}", f"did you mean '{found}'?" if found else None


def _pattern(context: Any, is_now: str) -> tuple[str, str | None]:
    return f"{is_now}, which does not fit the pattern {context.get('pattern')}", None


_HANDLERS: dict[str, Callable[[Any, str], tuple[str, str | None]]] = {
    "value_error": _raised,
    "assertion_error": _raised,
    "too_short": _too_short,
    "string_too_short": _too_short,
    "too_long": _too_long,
    "string_too_long": _too_long,
    "string_pattern_mismatch": _pattern,
}


def _option(kind: str, model: type[BaseModel] | None, path: Path) -> str | None:
    """Return the fix of a missing option, or of one that there is not."""
    name = str(path[-1]) if path else ""
    options = dict(keys(model)) if model else {}
    if kind == "extra_forbidden":
        return suggestion(name, options) if options else None
    info = options.get(name)
    return f"write '{name}': {info.description}" if info and info.description else None
