"""From YAML to the values that a component's model takes, guided by the model's types.

What YAML alone cannot know is decided here: that ``${env:PORT}`` is text where text is wanted,
that a written ``grpc:`` without value is the defaults, that one name may stand for a list of one.
Values of the wrong kind and unknown keys are found here, so that each gets its own words.
"""

import enum
import types
import typing
from collections import abc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    PlainValidator,
    RootModel,
    SecretStr,
    WrapValidator,
)
from pydantic.fields import FieldInfo

from heliograph.errors import Place, Problem
from heliograph.pipeline.config.names import nearest, suggestion
from heliograph.pipeline.config.places import HIDDEN, Path, dotted, looks_secret
from heliograph.pipeline.config.yaml_source import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    is_null,
    plain,
    resolve,
)

_RAW = (BeforeValidator, PlainValidator, WrapValidator)
_LISTS = (list, tuple, set, frozenset, abc.Sequence, abc.Set, abc.Collection, abc.Iterable)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)
_BOOL_WORDS = {"yes": True, "on": True, "no": False, "off": False}
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class _Absent(enum.Enum):
    ABSENT = enum.auto()


ABSENT = _Absent.ABSENT
"""What is not there as far as the model is concerned: its default counts."""


@dataclass
class Shaper:
    """Turns nodes into values; collects what is wrong with them."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    failed: set[Path] = field(default_factory=set)
    """Where a value is wrong already; nothing more needs to be said about it."""
    meant: set[Path] = field(default_factory=set)
    """Options that a misspelt key was probably meant to be."""
    secrets: set[Path] = field(default_factory=set)
    unclear: set[Path] = field(default_factory=set)
    """What was not looked into, because it is no option or of the wrong kind."""

    def model(self, node: Node, model: type[BaseModel], path: Path) -> Any:
        """Return what ``model_validate`` takes."""
        if issubclass(model, RootModel):
            return self.value(node, model.model_fields["root"].annotation, path)
        if is_null(node):
            return {}
        decorators = model.__pydantic_decorators__.model_validators.values()
        takes_anything = any(item.info.mode in ("before", "wrap") for item in decorators)
        if not isinstance(node, Mapping):
            return plain(node) if takes_anything else self._wrong(node, path, "a map")
        known = dict(keys(model))
        result = {}
        for key, entry in node.entries.items():
            info = known.get(key)
            if info is not None:
                if info.deprecated:
                    self._warn(entry.place, (*path, key), f"is deprecated: {info.deprecated}", None)
                value = self._field(entry.node, info, model, key, (*path, key))
            elif takes_anything or model.model_config.get("extra") != "forbid":
                value = self.value(entry.node, Any, (*path, key))
            else:
                self._unknown(entry.place, key, model, path)
                continue
            if value is not ABSENT:
                result[key] = value
        return result

    def _field(
        self, node: Node, info: FieldInfo, model: type[BaseModel], key: str, path: Path
    ) -> Any:
        validators = model.__pydantic_decorators__.field_validators.values()
        raw = any(
            item.info.mode != "after" and (key in item.info.fields or "*" in item.info.fields)
            for item in validators
        ) or any(isinstance(item, _RAW) for item in info.metadata)
        return self.value(node, info.annotation, path, raw=raw)

    def value(  # noqa: PLR0911 - one return a kind of type
        self, node: Node, wanted: Any, path: Path, *, raw: bool = False
    ) -> Any:
        """Return the value in the shape of a type; ``raw`` leaves scalars to a validator."""
        while get_origin(wanted) is Annotated:
            wanted, *metadata = get_args(wanted)
            raw = raw or any(isinstance(item, _RAW) for item in metadata)
        if isinstance(wanted, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
            return self.value(node, wanted.__value__, path, raw=raw)
        origin = get_origin(wanted)
        if origin in (Union, types.UnionType):
            return self._union(node, get_args(wanted), path, raw=raw)
        base = origin or wanted
        if wanted is Any or base is object or base is None:
            return self._any(node, path)
        if isinstance(base, type) and issubclass(base, BaseModel):
            as_written = raw and not isinstance(node, Mapping)
            return plain(node) if as_written else self.model(node, base, path)
        if is_null(node):
            return ABSENT
        if base in _MAPS:
            return self._map(node, get_args(wanted), path, raw=raw)
        if base in _LISTS:
            return self._list(node, get_args(wanted), path, raw=raw)
        return self._leaf(node, wanted, path, raw=raw)

    def _any(self, node: Node, path: Path) -> Any:
        if looks_secret(path):
            self.secrets.add(path)
        if isinstance(node, Mapping):
            return {key: self._any(entry.node, (*path, key)) for key, entry in node.entries.items()}
        return plain(node)

    def _map(self, node: Node, args: tuple[Any, ...], path: Path, *, raw: bool) -> Any:
        wanted = args[1] if len(args) == 2 else Any
        if _unwrapped(wanted) is SecretStr or looks_secret(path):
            self.secrets.add(path)
        if not isinstance(node, Mapping):
            return plain(node) if raw else self._wrong(node, path, "a map")
        values = {
            key: self.value(entry.node, wanted, (*path, key)) for key, entry in node.entries.items()
        }
        return {key: value for key, value in values.items() if value is not ABSENT}

    def _list(self, node: Node, args: tuple[Any, ...], path: Path, *, raw: bool) -> Any:
        wanted = args[0] if args else Any
        if isinstance(node, Scalar) and not raw:
            texts = node.text.split(",") if isinstance(node.value, str) else [node.text]
            parts = [Scalar(resolve(t.strip()), t.strip(), node.place, node.origin) for t in texts]
            what = "one value" if len(parts) == 1 else f"{len(parts)} values in one text"
            self._warn(node.place, path, f"is {what} where a list is meant", "put it in [ ]")
            if _unwrapped(wanted) is SecretStr:
                self.secrets.add(path)
            node = Sequence(tuple(parts), node.place)
        if not isinstance(node, Sequence):
            return plain(node) if raw else self._wrong(node, path, "a list")
        values = [self.value(item, wanted, (*path, i)) for i, item in enumerate(node.items)]
        return [None if value is ABSENT else value for value in values]

    def _union(self, node: Node, members: tuple[Any, ...], path: Path, *, raw: bool) -> Any:
        others = [member for member in members if member is not type(None)]
        if len(others) == 1:
            return self.value(node, others[0], path, raw=raw)
        if is_null(node):
            return ABSENT
        fitting = [member for member in others if _fits(node, member)]
        if len(fitting) == 1:
            return self.value(node, fitting[0], path, raw=raw)
        if any(_unwrapped(member) is SecretStr for member in others):
            self.secrets.add(path)
        if str in fitting and isinstance(node, Scalar) and node.origin:
            return node.value if type(node.value) in fitting else node.text
        if fitting or raw or not all(_unwrapped(member) in _WORDS for member in others):
            return self._any(node, path)
        return self._wrong(node, path, " or ".join(_WORDS[_unwrapped(item)] for item in others))

    def _leaf(self, node: Node, wanted: Any, path: Path, *, raw: bool) -> Any:
        secret = wanted is SecretStr or looks_secret(path)
        if secret:
            self.secrets.add(path)
        options = _options(wanted)
        if raw:
            return plain(node)
        if not isinstance(node, Scalar):
            return self._wrong(node, path, _one_of(options) if options else _word(wanted))
        if options:
            return self._option(node, options, path)
        if wanted is bool:
            return self._bool(node, path)
        if wanted is int or wanted is float:
            return self._number(node, wanted, path)
        return self._text(node, path, secret=secret) if _is_text(wanted) else node.value

    def _text(self, node: Scalar, path: Path, *, secret: bool) -> Any:
        if isinstance(node.value, str):
            return node.value
        if node.origin:
            return node.text
        written = "" if secret else f': "{node.text}"'
        return self._wrong(node, path, "text", f"write it in quotes{written}")

    def _option(self, node: Scalar, options: list[Any], path: Path) -> Any:
        for value in (node.value, node.text):
            if any(value == option and type(value) is type(option) for option in options):
                return value
        names = [str(option) for option in options]
        fix = suggestion(node.text, names) if nearest(node.text, names) else None
        return self._wrong(node, path, _one_of(options), fix)

    def _bool(self, node: Scalar, path: Path) -> Any:
        if isinstance(node.value, bool):
            return node.value
        word = node.text.lower()
        if word in _BOOL_WORDS:
            return _BOOL_WORDS[word]
        found = nearest(node.text, ("true", "false"))
        if isinstance(resolve(word), bool):
            return self._wrong(node, path, _WORDS[bool], "remove the quotes")
        return self._wrong(node, path, _WORDS[bool], f"did you mean {found}?" if found else None)

    def _number(self, node: Scalar, wanted: type[int] | type[float], path: Path) -> Any:
        value = node.value
        whole = wanted is int
        if isinstance(value, bool) or not isinstance(value, int | float):
            inside = resolve(node.text.strip()) if isinstance(value, str) and node.text else None
            fix = "remove the quotes" if type(inside) in (int, wanted) else None
            return self._wrong(node, path, _WORDS[wanted], fix)
        if whole and isinstance(value, float) and not value.is_integer():
            return self._wrong(node, path, _WORDS[int])
        return int(value) if whole else value

    def _wrong(self, node: Node, path: Path, wanted: str, fix: str | None = None) -> Any:
        hidden = path in self.secrets or looks_secret(path)
        # Text for a map may be a secret of any option in it, with a ':' forgotten.
        found = kind_of(node) if wanted == "a map" else describe(node, hidden=hidden)
        self.problems.append(Problem(dotted(path), f"{found}, not {wanted}", fix, node.place))
        self.failed.add(path)
        self.unclear.add(path)
        return plain(node)

    def _unknown(self, place: Place, key: str, model: type[BaseModel], path: Path) -> None:
        options = [name for name, _ in keys(model)]
        self.unclear.add((*path, key))
        found = nearest(key, options)
        if found:
            self.meant.add((*path, found))
        deeper = _below(model, key) if found is None else []
        fix = f"it stands under {' or '.join(deeper)}" if deeper else suggestion(key, options)
        self.problems.append(Problem(dotted((*path, key)), "is not an option here", fix, place))

    def _warn(self, place: Place, path: Path, message: str, fix: str | None) -> None:
        self.warnings.append(Problem(dotted(path), message, fix, place))


def kind_of(node: Node) -> str:
    """Return ``is a list`` or ``is text``, without the value."""
    if isinstance(node, Mapping):
        return "is a map"
    if isinstance(node, Sequence):
        return "is a list"
    return "is empty" if node.value is None else f"is {_WORDS.get(type(node.value), 'text')}"


def describe(node: Node, *, hidden: bool = False) -> str:
    """Return ``is 512`` or ``is the text 'abc'``; never a secret, nor what an expansion brought."""
    kind = kind_of(node)
    if not isinstance(node, Scalar) or node.value is None:
        return kind
    if hidden or node.origin:
        return kind + (f" (from {node.origin})" if node.origin else f" ({HIDDEN})")
    if isinstance(node.value, str):
        text = node.text if len(node.text) <= 60 else node.text[:57] + "..."
        return f"is the text {text!r}"
    return f"is {node.text[:60]}"


def keys(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield what a key may be called, and its field."""
    for name, info in model.model_fields.items():
        alias = info.validation_alias or info.alias
        if isinstance(alias, AliasChoices):
            yield from ((str(choice), info) for choice in alias.choices)
        else:
            yield str(alias or name), info


def model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model of what stands at a path below ``model``."""
    found: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, str) and found is not None:
            info = dict(keys(found)).get(step)
            found = next(_models(info.annotation), None) if info else found
    return found


def _below(model: type[BaseModel], key: str, depth: int = 3) -> list[str]:
    """Return the paths of models inside ``model`` that have an option called ``key``."""
    found = []
    for name, info in keys(model):
        for inner in _models(info.annotation):
            if any(other == key for other, _ in keys(inner)):
                found.append(name)
            elif depth:
                found += [f"{name}.{path}" for path in _below(inner, key, depth - 1)]
    return found


def _models(wanted: Any) -> Iterator[type[BaseModel]]:
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        yield wanted
    for part in get_args(wanted):
        yield from _models(part)


def _unwrapped(wanted: Any) -> Any:
    while get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    return wanted


def _fits(node: Node, wanted: Any) -> bool:  # noqa: PLR0911 - one return a kind of type
    wanted = _unwrapped(wanted)
    base = get_origin(wanted) or wanted
    if wanted is Any:
        return True
    if base in _MAPS or (isinstance(base, type) and issubclass(base, BaseModel)):
        return isinstance(node, Mapping)
    if base in _LISTS:
        return isinstance(node, Sequence)
    if not isinstance(node, Scalar):
        return False
    if base is Literal:
        return node.value in get_args(wanted)
    if wanted is float:
        return isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if wanted in (int, bool):
        return type(node.value) is wanted
    if _is_text(wanted):
        return isinstance(node.value, str) or node.origin is not None
    return True


def _is_text(wanted: Any) -> bool:
    return isinstance(wanted, type) and (
        issubclass(wanted, str | SecretStr) or hasattr(wanted, "__fspath__")
    )


def _options(wanted: Any) -> list[Any]:
    if get_origin(wanted) is Literal:
        return list(get_args(wanted))
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return [member.value for member in wanted]
    return []


def _word(wanted: Any) -> str:
    return _WORDS.get(wanted, "text" if _is_text(wanted) else "one value")


def _one_of(options: list[Any]) -> str:
    return "one of " + ", ".join(str(option) or "''" for option in options)
