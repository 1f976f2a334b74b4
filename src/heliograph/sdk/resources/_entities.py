"""``OTEL_ENTITIES``: who records, as entities with a type, in the words of whoever started us.

Spec: Entity Propagation (in development).
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

_log = logging.getLogger("heliograph.sdk.resources")

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
            _warn(f"there is more than one {entity.type}; the last is used")
            del found[entity.type]
        for other in found.values():
            for key in other.description.keys() & (entity.description.keys() | entity.id.keys()):
                _warn(f"{other.type} and {entity.type} both say {key}; that of the last is used")
                del other.description[key]
        found[entity.type] = entity
    return list(found.values())


def _entity(part: str) -> Entity | None:
    match = _ENTITY.fullmatch(part)
    if match is None:
        _warn(f"{part!r} is not type{{key=value}}[key=value]@url; it is left out")
        return None
    kind, given, described, url = match.groups()
    try:
        entity = Entity(kind, _pairs(given), _pairs(described or ""), url or "")
    except ValueError as error:
        _warn(f"{part!r}: {error}; it is left out")
        return None
    if not entity.id:
        _warn(f"{part!r} has nothing that identifies it; write {kind}{{key=value}}")
        return None
    if entity.schema_url and not _URL.fullmatch(entity.schema_url):
        _warn(f"{entity.schema_url!r} is no URL; {kind} is used without it")
        return Entity(kind, entity.id, entity.description)
    return entity


def _pairs(text: str) -> dict[str, str]:
    """Raises: ValueError for what is no ``key=value``."""
    from urllib.parse import unquote  # noqa: PLC0415 - seldom needed

    found = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or "=" in value or not _KEY.fullmatch(key):
            raise ValueError(f"{pair!r} is not key=value")
        found[key] = unquote(value)
    return found


def _warn(said: str) -> None:
    _log.warning("%s: %s", VARIABLE, said)
