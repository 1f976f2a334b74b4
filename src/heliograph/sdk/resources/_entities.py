"""``OTEL_ENTITIES``: who records, as entities with a type, in the words of whoever started us.

Spec: Entity Propagation (in development).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from heliograph.sdk import _variables as variables

VARIABLE = "OTEL_ENTITIES"

_ENTITY = re.compile(
    r"([a-zA-Z][a-zA-Z0-9._-]*)\{([^{}\[\]@;]*)\}(?:\[([^{}\[\]@;]*)\])?(?:@([^;]*))?"
)
_KEY = re.compile(r"[a-zA-Z][a-zA-Z0-9._-]*")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s]+")


@dataclass(frozen=True)
class Entity:
    """A thing that telemetry is about.

    Spec: Entity Data Model.
    """

    type: str
    id: dict[str, str]
    """What tells it from others of its type; never empty."""
    description: dict[str, str]
    schema_url: str = ""


def read_entities(text: str) -> list[Entity]:
    """Return the entities of ``type{key=value,…}[key=value,…]@schema-url;…``.

    Of one type the last counts, and of one key the last entity that has it. What is malformed is
    one warning, and left out.
    """
    found: dict[str, Entity] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        entity = _entity(part)
        if entity is None:
            continue
        if entity.type in found:
            _warn(part, f"and there is another {entity.type}", "the last")
            del found[entity.type]
        for other in found.values():
            for key in other.description.keys() & (entity.description.keys() | entity.id.keys()):
                _warn(part, f"and {other.type} says {key}, too", "the last")
                del other.description[key]
        found[entity.type] = entity
    return list(found.values())


def _entity(part: str) -> Entity | None:
    match = _ENTITY.fullmatch(part)
    if match is None:
        _warn(part, "not type{key=value}[key=value]@url", "the rest")
        return None
    kind, given, described, url = match.groups()
    try:
        entity = Entity(kind, _pairs(given), _pairs(described or ""), url or "")
    except ValueError as error:
        _warn(part, str(error), "the rest")
        return None
    if not entity.id:
        _warn(part, f"which nothing identifies (write {kind}{{key=value}})", "the rest")
        return None
    if entity.schema_url and not _URL.fullmatch(entity.schema_url):
        _warn(part, f"and {entity.schema_url} is no URL", f"{kind} without it")
        return Entity(kind, entity.id, entity.description)
    return entity


def _pairs(text: str) -> dict[str, str]:
    """Raises: ValueError for what is no ``key=value``."""
    from urllib.parse import unquote  # noqa: PLC0415 - seldom needed

    found = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or "=" in value or not _KEY.fullmatch(key):
            raise ValueError(f"and {pair!r} is not key=value")
        found[key] = unquote(value)
    return found


def _warn(part: str, wrong: str, used: str) -> None:
    variables.warn(VARIABLE, part, wrong, used)
