"""The components' reference pages: ``python -m heliograph.pipeline.reference docs/reference``.

A page is a component's docstring and the options of its ``Config``; nothing is written twice.
"""

import enum
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from heliograph.pipeline.component import Kind
from heliograph.pipeline.config.model import SIGNALS
from heliograph.pipeline.fields import parse_duration, parse_headers, parse_size
from heliograph.pipeline.listing import components
from heliograph.pipeline.registry import ALIASES, Registry, modules, stability

_MARK = "<!-- Written by `python -m heliograph.pipeline.reference`; edit the component. -->\n"
_WORDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    SecretStr: "text, secret",
    Path: "path",
}
_NOTATIONS = {
    parse_duration: "time (`200ms`)",
    parse_size: "size (`4MiB`)",
    parse_headers: "map of headers, secret",
}


def pages(registry: Registry) -> dict[str, str]:
    """Return the text of every page by its path below ``docs/reference``.

    Raises: BrokenComponent when one cannot be imported; its page would be missing.
    """
    for kind in Kind:
        for name in registry.types(kind):
            registry.module(kind, name)
    found = {
        f"{kind}/{name}.md": _page(kind, name, module) for kind, name, module in modules(registry)
    }
    return {"README.md": _index(registry), **found}


def write(folder: Path, registry: Registry) -> None:
    """Write all pages; remove those of components that are gone."""
    wanted = pages(registry)
    for old in folder.rglob("*.md"):
        if str(old.relative_to(folder)) not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _index(registry: Registry) -> str:
    parts = ["# Components\n", _MARK]
    rows = components(registry)
    for kind in Kind:
        lines = [
            f"| [{row['type']}]({kind}/{row['type']}.md) | {', '.join(row['signals']) or '-'} "
            f"| {row['stability']} | {_cell(row['doc'])} |"
            for row in rows
            if row["kind"] == kind
        ]
        if lines:
            head = ["| type | signals | stability | |", "|---|---|---|---|"]
            parts.append("\n".join([f"## {kind.value.capitalize()}\n", *head, *lines, ""]))
    return "\n".join(parts)


def _page(kind: Kind, name: str, module: ModuleType) -> str:
    signals = getattr(getattr(module, kind.class_name), "signals", ())
    aliases = [f"`{a}`" for (k, a), type in ALIASES.items() if k is kind and type == name]
    facts = [f"stability: {stability(module)}"]
    if signals:
        names = [name for name, signal in SIGNALS.items() if signal in signals]
        facts.append(f"signals: {', '.join(names)}")
    if aliases:
        facts.append("also called " + ", ".join(aliases))
    rows = [
        f"| `{path}` | {_cell(type)} | {_cell(default)} | {_cell(sentence)} |"
        for path, type, default, sentence in _options(module.Config, "")
    ]
    table = ["| option | type | default | |", "|---|---|---|---|", *rows]
    options = "\n".join(table) if rows else "It has no options."
    text = (module.__doc__ or "").strip().replace("``", "`")
    return (
        f"# {kind.singular} `{name}`\n\n{_MARK}\n{text}\n\n{'; '.join(facts)}\n\n"
        f"## Options\n\n{options}\n"
    )


def _options(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (path, type, default, sentence) of each option, those inside after their parent."""
    for name, info in model.model_fields.items():
        alias = info.validation_alias
        path = f"{prefix}{alias if isinstance(alias, str) else name}"
        yield path, _type(info.annotation, info.metadata), _default(info), _sentence(info)
        for inner, suffix in _inside(info.annotation):
            yield from _options(inner, f"{path}{suffix}.")


def _sentence(info: FieldInfo) -> str:
    extra = info.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    text = info.description or ""
    if info.deprecated:
        text = f"Deprecated: {info.deprecated}. {text}"
    return f"{text} Unit: {unit}." if unit else text


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(_code(item) for item in value)
    if isinstance(value, int) and _type(info.annotation, info.metadata) == _NOTATIONS[parse_size]:
        value = _size(value)
    return "" if isinstance(value, dict | set | frozenset) and not value else _code(value)


def _size(value: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)


def _code(value: Any) -> str:
    """Return a value as it is written in YAML."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        value = str(value).lower()
    return '`""`' if value == "" else f"`{value}`"


def _type(  # noqa: PLR0911 - one return a kind of type
    wanted: Any, metadata: list[Any] | None = None
) -> str:
    """Return the words for a type."""
    for item in metadata or []:
        if isinstance(item, BeforeValidator) and item.func in _NOTATIONS:
            return _NOTATIONS[item.func]
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _type(parts[0], list(parts[1:]))
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in parts if part is not NoneType))
    if origin is Literal:
        return ", ".join(_code(part) for part in parts)
    if origin in (dict,) or wanted is dict:
        return f"map of {_type(parts[1])}" if len(parts) == 2 else "map"
    if origin is not None and parts:
        return f"list of {_type(parts[0])}"
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return ", ".join(_code(member) for member in wanted)
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        return "map"
    return _WORDS.get(wanted, "any value")


def _inside(wanted: Any, suffix: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """Yield the models inside a type, with ``[]`` for a list's and ``.NAME`` for a map's."""
    origin, parts = get_origin(wanted), get_args(wanted)
    if isinstance(wanted, type) and origin is None and issubclass(wanted, BaseModel):
        yield wanted, suffix
    elif origin in (Union, UnionType, Annotated):
        for part in parts:
            yield from _inside(part, suffix)
    elif origin is dict and len(parts) == 2:
        yield from _inside(parts[1], f"{suffix}.NAME")
    elif origin is not None:
        for part in parts:
            yield from _inside(part, f"{suffix}[]")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    write(Path(sys.argv[1]), Registry())
