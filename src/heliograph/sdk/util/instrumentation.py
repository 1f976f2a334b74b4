"""Who records: the instrumentation scope of a tracer, meter or logger.

Spec: Common, Instrumentation scope.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from heliograph.sdk._fence import bounded

if TYPE_CHECKING:
    from opentelemetry.attributes import BoundedAttributes
    from opentelemetry.util.types import Attributes


class InstrumentationScope:
    """A unit of code that telemetry belongs to: name, version, schema URL and attributes.

    Immutable. Equal when all four are.
    """

    __slots__ = ("_attributes", "_name", "_schema_url", "_version")

    def __init__(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> None:
        self._name = _text(name)
        self._version = None if version is None else _text(version)
        self._schema_url = _text(schema_url or "")
        self._attributes = bounded(attributes or {}, immutable=True)

    @property
    def name(self) -> str:
        """Usually the name of a module or package."""
        return self._name

    @property
    def version(self) -> str | None:
        """The version of that package."""
        return self._version

    @property
    def schema_url(self) -> str:
        """Where the names of its attributes are defined; empty when nobody says."""
        return self._schema_url

    @property
    def attributes(self) -> BoundedAttributes:
        """What else tells it from other scopes."""
        return self._attributes

    def to_json(self, indent: int | None = 4) -> str:
        """Return the scope as a JSON object."""
        fields = {
            "name": self._name,
            "version": self._version,
            "schema_url": self._schema_url,
            "attributes": dict(self._attributes) if self._attributes else None,
        }
        return json.dumps(fields, indent=indent, default=str)

    def _key(self) -> tuple[Any, ...]:
        return (self._name, self._version, self._schema_url, self._attributes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InstrumentationScope):
            return NotImplemented
        return self._key() == other._key()

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, InstrumentationScope):
            return NotImplemented
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash((self._name, self._version, self._schema_url))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, self._key()))})"


def _text(given: Any) -> str:
    """Return what a program gave in place of text as text."""
    return given if isinstance(given, str) else str(given)


class InstrumentationInfo:
    """Name, version and schema URL of a scope, as programs knew them before scopes. Deprecated."""

    __slots__ = ("_name", "_schema_url", "_version")

    def __init__(
        self, name: str, version: str | None = None, schema_url: str | None = None
    ) -> None:
        self._name = name
        self._version = version
        self._schema_url = schema_url or ""

    @property
    def name(self) -> str:
        """Usually the name of a module or package."""
        return self._name

    @property
    def version(self) -> str | None:
        """The version of that package."""
        return self._version

    @property
    def schema_url(self) -> str:
        """Where the names of its attributes are defined."""
        return self._schema_url

    def _key(self) -> tuple[Any, ...]:
        return (self._name, self._version, self._schema_url)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, InstrumentationInfo):
            return NotImplemented
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, self._key()))})"
