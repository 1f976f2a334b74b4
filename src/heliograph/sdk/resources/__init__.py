"""Resources: what telemetry is of."""

from __future__ import annotations

import json
from typing import cast

from opentelemetry.util.types import Attributes


class Resource:
    """What telemetry is of. Immutable."""

    def __init__(self, attributes: Attributes, schema_url: str | None = None) -> None:
        self._attributes = dict(attributes or {})
        self._schema_url = schema_url or ""

    @staticmethod
    def create(attributes: Attributes = None, schema_url: str | None = None) -> Resource:
        return Resource(attributes, schema_url)

    @property
    def attributes(self) -> Attributes:
        return self._attributes

    @property
    def schema_url(self) -> str:
        return self._schema_url

    def merge(self, other: Resource) -> Resource:
        merged = {**self._attributes, **cast(dict[str, str], other.attributes)}
        return Resource(merged, other.schema_url or self.schema_url)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Resource):
            return NotImplemented
        return (self._attributes, self._schema_url) == (other._attributes, other._schema_url)

    def __hash__(self) -> int:
        return hash(json.dumps(self._attributes, sort_keys=True, default=str))

    def to_json(self, indent: int | None = 4) -> str:
        return json.dumps(
            {"attributes": self._attributes, "schema_url": self._schema_url}, indent=indent
        )
