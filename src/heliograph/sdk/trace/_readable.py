"""Spans to be read: what processors and exporters written in Python get.

Spec: Tracing SDK, Additional Span Interfaces.
"""

from __future__ import annotations

import json
from abc import ABCMeta
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    format_span_id,
    format_trace_id,
)

from heliograph._core import Span as NativeSpan
from heliograph.sdk.resources import Resource
from heliograph.sdk.util import BoundedList, ns_to_iso_str
from heliograph.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope

Attributes = Mapping[str, Any] | None


class EventBase:
    """Something that happened at a moment."""

    def __init__(self, name: str, timestamp: int | None = None) -> None:
        if timestamp is None:
            from time import time_ns  # noqa: PLC0415

            timestamp = time_ns()
        self._name = name
        self._timestamp = timestamp

    @property
    def name(self) -> str:
        """What happened."""
        return self._name

    @property
    def timestamp(self) -> int:
        """Nanoseconds since 1970."""
        return self._timestamp


class Event(EventBase):
    """An event of a span: a name, a moment in nanoseconds since 1970 and attributes."""

    def __init__(
        self,
        name: str,
        attributes: Attributes = None,
        timestamp: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(name, timestamp)
        self._attributes = attributes

    @property
    def attributes(self) -> Attributes:
        """What is known of it."""
        return self._attributes

    @property
    def dropped_attributes(self) -> int:
        """How many attributes a limit refused."""
        return self._attributes.dropped if isinstance(self._attributes, BoundedAttributes) else 0


class ReadableSpan(metaclass=ABCMeta):
    """A span as data. Tests build them by hand; everything else gets them from a tracer."""

    _name: str
    _context: SpanContext | None
    _parent: SpanContext | None
    _resource: Resource
    _attributes: Attributes
    _events: Sequence[Event]
    _links: Sequence[Link]
    _kind: SpanKind
    _status: Status
    _start_time: int | None
    _end_time: int | None
    _instrumentation_info: InstrumentationInfo | None
    _instrumentation_scope: InstrumentationScope | None

    def __init__(
        self,
        name: str,
        context: SpanContext | None = None,
        parent: SpanContext | None = None,
        resource: Resource | None = None,
        attributes: Attributes = None,
        events: Sequence[Event] = (),
        links: Sequence[Link] = (),
        kind: SpanKind = SpanKind.INTERNAL,
        instrumentation_info: InstrumentationInfo | None = None,
        status: Status | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        instrumentation_scope: InstrumentationScope | None = None,
    ) -> None:
        self._name = name
        self._context = context
        self._parent = parent
        self._resource = Resource.create({}) if resource is None else resource
        self._attributes = attributes
        self._events = events
        self._links = links
        self._kind = kind
        self._status = Status(StatusCode.UNSET) if status is None else status
        self._start_time = start_time
        self._end_time = end_time
        self._instrumentation_info = instrumentation_info
        self._instrumentation_scope = instrumentation_scope

    @property
    def name(self) -> str:
        """What the span is called."""
        return self._name

    def get_span_context(self) -> SpanContext | None:
        """Return the ids."""
        return self._context

    @property
    def context(self) -> SpanContext | None:
        """The ids."""
        return self._context

    @property
    def kind(self) -> SpanKind:
        """Its part in a conversation."""
        return self._kind

    @property
    def parent(self) -> SpanContext | None:
        """Whose child it is."""
        return self._parent

    @property
    def start_time(self) -> int | None:
        """Nanoseconds since 1970."""
        return self._start_time

    @property
    def end_time(self) -> int | None:
        """Nanoseconds since 1970; None while it runs."""
        return self._end_time

    @property
    def status(self) -> Status:
        """How it ended."""
        return self._status

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is known of it, read-only."""
        return MappingProxyType(self._attributes or {})

    @property
    def events(self) -> Sequence[Event]:
        """What happened, oldest first."""
        return tuple(self._events)

    @property
    def links(self) -> Sequence[Link]:
        """Spans of other traces that belong to it."""
        return tuple(self._links)

    @property
    def resource(self) -> Resource:
        """Who recorded it."""
        return self._resource

    @property
    def instrumentation_info(self) -> InstrumentationInfo | None:
        """Deprecated: see `instrumentation_scope`."""
        return self._instrumentation_info

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None:
        """Which code recorded it."""
        return self._instrumentation_scope

    @property
    def dropped_attributes(self) -> int:
        """How many attributes a limit refused."""
        return self._attributes.dropped if isinstance(self._attributes, BoundedAttributes) else 0

    @property
    def dropped_events(self) -> int:
        """How many events made room for later ones."""
        return getattr(self._events, "dropped", 0)

    @property
    def dropped_links(self) -> int:
        """How many links made room for later ones."""
        return getattr(self._links, "dropped", 0)

    def to_json(self, indent: int | None = 4) -> str:
        """Return the span as a JSON object, as the console exporter prints it."""
        status = {"status_code": self.status.status_code.name}
        if self.status.description:
            status["description"] = self.status.description
        fields = {
            "name": self.name,
            "context": _context_fields(self.context) if self.context else None,
            "kind": str(self.kind),
            "parent_id": f"0x{format_span_id(self.parent.span_id)}" if self.parent else None,
            "start_time": ns_to_iso_str(self.start_time) if self.start_time else None,
            "end_time": ns_to_iso_str(self.end_time) if self.end_time else None,
            "status": status,
            "attributes": dict(self.attributes),
            "events": [
                {
                    "name": event.name,
                    "timestamp": ns_to_iso_str(event.timestamp),
                    "attributes": dict(event.attributes or {}),
                }
                for event in self.events
            ],
            "links": [
                {
                    "context": _context_fields(link.context),
                    "attributes": dict(link.attributes or {}),
                }
                for link in self.links
            ],
            "resource": json.loads(self.resource.to_json()),
        }
        return json.dumps(fields, indent=indent, default=_json_default)


def _json_default(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return value.hex() if isinstance(value, bytes | bytearray) else str(value)


def _context_fields(context: SpanContext) -> dict[str, str]:
    return {
        "trace_id": f"0x{format_trace_id(context.trace_id)}",
        "span_id": f"0x{format_span_id(context.span_id)}",
        "trace_state": repr(context.trace_state),
    }


class SpanView(ReadableSpan):
    """A recorded span, each part decoded when it is first asked for.

    A part that was taken may have been changed (that is how redaction is done), so a view with one
    is encoded again from what it holds.
    """

    def __init__(self, native: NativeSpan) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Any:
        read = _PARTS.get(name)
        if read is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = read(self._native)
        if name in _MUTABLE:
            self.__dict__[name] = found
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is a span of its own, without the recorded one behind it."""
        parts = (
            self._name,
            self._context,
            self._parent,
            self._resource,
            self._attributes,
            self._events,
            self._links,
            self._kind,
            self._instrumentation_info,
            self._status,
            self._start_time,
            self._end_time,
            self._instrumentation_scope,
        )
        return ReadableSpan, parts


_MUTABLE = {"_attributes", "_events", "_links", "_status"}


def bounded(attributes: dict[str, Any], dropped: int) -> BoundedAttributes:
    """Return decoded attributes as the API holds them."""
    made = BoundedAttributes(None, attributes, immutable=True)
    made.dropped = dropped
    return made


def _read_attributes(span: NativeSpan) -> BoundedAttributes:
    return bounded(*span.attribute_parts())


def _listed(items: Iterable[Any], dropped: int) -> BoundedList[Any]:
    made: BoundedList[Any] = BoundedList.from_seq(None, items)
    made.dropped = dropped
    return made


def _read_events(span: NativeSpan) -> BoundedList[Event]:
    parts, dropped = span.event_parts()
    made = (Event(name, bounded(attributes, lost), time) for name, time, attributes, lost in parts)
    return _listed(made, dropped)


def _read_links(span: NativeSpan) -> BoundedList[Link]:
    parts, dropped = span.link_parts()
    made = (Link(context, bounded(attributes, lost)) for context, attributes, lost in parts)
    return _listed(made, dropped)


_CODES = {code.value: code for code in StatusCode}


def _read_status(span: NativeSpan) -> Status:
    code, message = span.status_parts()
    return Status(_CODES[code], message)


def _read_info(span: NativeSpan) -> InstrumentationInfo | None:
    scope = span.around[1]
    return scope and InstrumentationInfo(scope.name, scope.version, scope.schema_url)


_PARTS = {
    "_name": lambda span: span.name,
    "_context": lambda span: span.context,
    "_parent": lambda span: span.parent,
    "_kind": lambda span: span.kind,
    "_start_time": lambda span: span.start_time,
    "_end_time": lambda span: span.end_time,
    "_resource": lambda span: span.around[0],
    "_instrumentation_scope": lambda span: span.around[1],
    "_instrumentation_info": _read_info,
    "_attributes": _read_attributes,
    "_events": _read_events,
    "_links": _read_links,
    "_status": _read_status,
}
