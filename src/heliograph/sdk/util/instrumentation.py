"""Instrumentation scopes."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.util.types import Attributes


class InstrumentationScope:
    """A part of the program that telemetry comes from. Immutable."""

    __slots__ = ("_attributes", "_name", "_schema_url", "_version")

    def __init__(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> None:
        self._name = name
        self._version = version
        self._schema_url = schema_url or ""
        self._attributes = dict(attributes or {})

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str | None:
        return self._version

    @property
    def schema_url(self) -> str | None:
        return self._schema_url

    @property
    def attributes(self) -> Attributes:
        return self._attributes

    def _key(self) -> tuple[Any, ...]:
        return (self._name, self._version, self._schema_url)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InstrumentationScope):
            return NotImplemented
        return self._key() == other._key() and self._attributes == other._attributes

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"InstrumentationScope({self._name}, {self._version}, {self._schema_url})"

    def to_json(self, indent: int | None = 4) -> str:
        return json.dumps(
            {
                "name": self._name,
                "version": self._version,
                "schema_url": self._schema_url,
                "attributes": self._attributes or None,
            },
            indent=indent,
        )
