"""The resource: attributes of whoever records.

Spec: Resource SDK.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.attributes import BoundedAttributes

from heliograph.sdk.resources import _names
from heliograph.sdk.version import __version__

LabelValue = Any
Attributes = Mapping[str, Any]

_log = logging.getLogger("heliograph.sdk.resources")


class Resource:
    """Attributes of whoever records, and the URL of the schema they follow. Immutable.

    Programs call `create`; the constructor takes the attributes as they are.
    """

    def __init__(self, attributes: Attributes, schema_url: str | None = None) -> None:
        self._attributes = BoundedAttributes(attributes=attributes, immutable=True)
        self._schema_url = schema_url or ""

    @staticmethod
    def create(attributes: Attributes | None = None, schema_url: str | None = None) -> Resource:
        """Return what the detectors found, with these attributes over it.

        ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` are read, and a service without a
        name is called ``unknown_service:`` and its executable. A schema URL that is given is taken.
        """
        return Resource._create(attributes, schema_url)

    @staticmethod
    def _create(
        attributes: Attributes | None, schema_url: str | None = None, detectors: str = ""
    ) -> Resource:
        """As `create`, with these detectors where no variable names any."""
        from heliograph.sdk.resources import _gather  # noqa: PLC0415 - it needs this class

        found = _gather.get_aggregated_resources(_gather.configured(detectors), _DEFAULT)
        if schema_url:
            found = Resource(found.attributes)
        found = found.merge(Resource(attributes or {}, schema_url))
        if found.attributes.get(_names.SERVICE_NAME):
            return found
        executable = os.path.basename(sys.executable or "")
        name = f"unknown_service:{executable}" if executable else "unknown_service"
        return found.merge(Resource({_names.SERVICE_NAME: name}, schema_url))

    @staticmethod
    def get_empty() -> Resource:
        """Return a resource of which nothing is known."""
        return _EMPTY

    @property
    def attributes(self) -> BoundedAttributes:
        """What is known, read-only."""
        return self._attributes

    @property
    def schema_url(self) -> str:
        """Where the names of the attributes are defined; empty when nobody says."""
        return self._schema_url

    def merge(self, other: Resource) -> Resource:
        """Return both; what ``other`` says wins. With two different schema URLs the attributes have
        none, and that is logged.

        Spec: Resource SDK, Merge.
        """
        return merge_all([self, other])

    def to_json(self, indent: int | None = 4) -> str:
        """Return the resource as a JSON object."""
        fields = {"attributes": dict(self._attributes), "schema_url": self._schema_url}
        return json.dumps(fields, indent=indent, default=_as_text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Resource):
            return NotImplemented
        mine, theirs = (self._attributes, self._schema_url), (other.attributes, other.schema_url)
        return mine == theirs

    def __hash__(self) -> int:
        attributes = json.dumps(dict(self._attributes), sort_keys=True, default=_as_text)
        return hash((attributes, self._schema_url))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self._attributes)}, {self._schema_url!r})"


def merge_all(resources: Iterable[Resource]) -> Resource:
    """Return all of them; what the later ones say wins. See `Resource.merge`."""
    attributes: dict[str, Any] = {}
    urls: set[str] = set()
    for resource in resources:
        attributes |= resource.attributes
        urls.add(resource.schema_url)
    urls.discard("")
    if len(urls) > 1:
        said = ", ".join(sorted(urls))
        _log.warning("resources of different schemas have none together: %s", said)
    return Resource(attributes, urls.pop() if len(urls) == 1 else None)


def _as_text(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return value.hex() if isinstance(value, bytes | bytearray) else str(value)


_EMPTY = Resource({})

_DEFAULT = Resource(
    {
        _names.TELEMETRY_SDK_LANGUAGE: "python",
        _names.TELEMETRY_SDK_NAME: "heliograph",
        _names.TELEMETRY_SDK_VERSION: __version__,
    }
)
