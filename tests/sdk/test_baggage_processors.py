"""Baggage as attributes of spans and log records."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.context import Context

from heliograph.sdk.logs import LoggerProvider
from heliograph.sdk.logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from heliograph.sdk.processor.baggage import (
    ALLOW_ALL_BAGGAGE_KEYS,
    BaggageLogProcessor,
    BaggageSpanProcessor,
)
from heliograph.sdk.trace import TracerProvider

ENTRIES = {"tenant.id": "7", "user": "ann", "other": "x"}
CASES: list[tuple[Any, set[str]]] = [
    (ALLOW_ALL_BAGGAGE_KEYS, {"tenant.id", "user", "other"}),
    (lambda key: key.startswith("tenant."), {"tenant.id"}),
    ([lambda key: key == "user", lambda key: key == "other"], {"user", "other"}),
    ([], set()),
]


def filled() -> Context:
    made = Context()
    for key, value in ENTRIES.items():
        made = baggage.set_baggage(key, value, made)
    return made


@pytest.mark.parametrize(("predicate", "keys"), CASES)
def test_spans_get_the_baggage_of_their_context(predicate: Any, keys: set[str]) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BaggageSpanProcessor(predicate))
    tracer = provider.get_tracer("t")
    expected = {key: ENTRIES[key] for key in keys}
    assert dict(tracer.start_span("one", context=filled()).attributes) == expected  # type: ignore[attr-defined]
    token = context.attach(filled())
    try:
        with tracer.start_as_current_span("two"), tracer.start_as_current_span("three") as span:
            assert dict(span.attributes) == expected  # type: ignore[attr-defined]
    finally:
        context.detach(token)


@pytest.mark.parametrize(("predicate", "keys"), CASES)
def test_log_records_get_baggage_and_keep_their_own(predicate: Any, keys: set[str]) -> None:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BaggageLogProcessor(predicate))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("l")
    token = context.attach(filled())
    try:
        logger.emit(body="current", attributes={"user": "own"})
    finally:
        context.detach(token)
    logger.emit(body="given", context=filled())
    logger.emit(body="none")
    found = [dict(one.log_record.attributes or {}) for one in exporter.get_finished_logs()]
    expected = {key: ENTRIES[key] for key in keys}
    assert found == [expected | {"user": "own"}, expected, {}]


def test_log_records_get_so_many_entries_at_most() -> None:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BaggageLogProcessor(ALLOW_ALL_BAGGAGE_KEYS, 2))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("l").emit(body="one", context=filled())
    (found,) = exporter.get_finished_logs()
    assert list(found.log_record.attributes or ()) == ["tenant.id", "user"]
