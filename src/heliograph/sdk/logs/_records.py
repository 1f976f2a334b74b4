"""Log records as objects, for processors and exporters that are written in Python.

Spec: Logs SDK, ReadableLogRecord and ReadWriteLogRecord.
"""

from __future__ import annotations

import base64
import copy
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.trace import format_span_id, format_trace_id

from heliograph.sdk._fence import bounded, exception_fields
from heliograph.sdk.logs._limits import LogRecordLimits
from heliograph.sdk.resources import Resource
from heliograph.sdk.util import ns_to_iso_str
from heliograph.sdk.util.instrumentation import InstrumentationScope


class LogRecordDroppedAttributesWarning(UserWarning):
    """Attributes of a log record were dropped because of a limit; said once."""


warnings.simplefilter("once", LogRecordDroppedAttributesWarning)


def _dropped(record: LogRecord) -> int:
    return getattr(record.attributes, "dropped", 0)


@dataclass(frozen=True)
class ReadableLogRecord:
    """A log record as exporters get it."""

    log_record: LogRecord
    resource: Resource
    instrumentation_scope: InstrumentationScope | None = None
    limits: LogRecordLimits | None = None

    @property
    def dropped_attributes(self) -> int:
        """How many attributes were discarded."""
        return _dropped(self.log_record)

    def to_json(self, indent: int | None = 4) -> str:
        """Return it as JSON for people."""
        record = self.log_record
        number, time, observed = (
            record.severity_number,
            record.timestamp,
            record.observed_timestamp,
        )
        return json.dumps(
            {
                "body": record.body,
                "severity_number": None if number is None else number.value,
                "severity_text": record.severity_text,
                "attributes": dict(record.attributes) if record.attributes else None,
                "dropped_attributes": self.dropped_attributes,
                "timestamp": None if time is None else ns_to_iso_str(time),
                "observed_timestamp": None if observed is None else ns_to_iso_str(observed),
                "trace_id": f"0x{format_trace_id(record.trace_id)}" if record.trace_id else "",
                "span_id": f"0x{format_span_id(record.span_id)}" if record.span_id else "",
                "trace_flags": record.trace_flags,
                "resource": json.loads(self.resource.to_json()),
                "event_name": record.event_name or "",
            },
            indent=indent,
            default=_jsonable,
        )


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return dict(value) if isinstance(value, Mapping) else str(value)


@dataclass
class ReadWriteLogRecord:
    """A log record as processors get it: what one changes, the next ones see."""

    log_record: LogRecord
    resource: Resource | None = None
    instrumentation_scope: InstrumentationScope | None = None
    limits: LogRecordLimits = field(default_factory=LogRecordLimits)

    def __post_init__(self) -> None:
        if self.resource is None:
            self.resource = Resource.create({})
        self.log_record.attributes = _bounded(self.log_record.attributes or {}, self.limits)
        if self.dropped_attributes:
            warnings.warn(
                "Attributes of a log record were dropped because of a limit",
                LogRecordDroppedAttributesWarning,
                stacklevel=2,
            )

    @property
    def dropped_attributes(self) -> int:
        """How many attributes were discarded."""
        return _dropped(self.log_record)


def _bounded(given: Mapping[str, Any], limits: LogRecordLimits) -> BoundedAttributes:
    """Keep the first attributes, up to the limit; `BoundedAttributes` alone keeps the last."""
    most = limits.max_log_record_attributes
    kept = dict(islice(given.items(), most))
    held = bounded(
        kept,
        maxlen=most,
        immutable=False,
        max_value_len=limits.max_log_record_attribute_length,
        extended_attributes=True,
    )
    held.dropped += len(given) - len(kept) + getattr(given, "dropped", 0)
    return held


def readable(record: ReadWriteLogRecord, *, copied: bool = False) -> ReadableLogRecord:
    """Return a record for exporters; a copy does not hold on to the context."""
    inner = record.log_record
    if copied:
        inner = copy.copy(inner)
        inner.context = Context()
    return ReadableLogRecord(
        inner,
        Resource.create({}) if record.resource is None else record.resource,
        record.instrumentation_scope,
        record.limits,
    )


def with_exception(attributes: Any, exception: BaseException | None) -> Any:
    """Return the attributes with those of the exception, of which those given win."""
    if exception is None:
        return attributes
    return exception_fields(exception) | dict(attributes or {})
