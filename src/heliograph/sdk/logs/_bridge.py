"""Events on the span that they happen in."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import get_current_span

from heliograph.sdk.logs._processors import LogRecordProcessor
from heliograph.sdk.logs._records import ReadWriteLogRecord


class EventToSpanEventBridge(LogRecordProcessor):
    """Adds each log record that has an event name to the current span, as an event of the span;
    the record goes on as it is. Records of other spans than the current one are left alone.

    Spec: Logs SDK, Event to span event bridge (in development).
    """

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record: Any = log_record.log_record
        if not record.event_name or not record.trace_id or not record.span_id:
            return
        span = get_current_span(record.context or None)
        context = span.get_span_context()
        ids = (context.trace_id, context.span_id)
        if span.is_recording() and ids == (record.trace_id, record.span_id):
            when = record.timestamp or record.observed_timestamp
            span.add_event(record.event_name, dict(record.attributes or {}), when)
