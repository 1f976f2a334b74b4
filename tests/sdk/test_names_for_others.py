"""Names and habits that packages for the official SDK rely on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from heliograph.sdk import error_handler
from heliograph.sdk._shared_internal import DuplicateFilter
from heliograph.sdk.error_handler import ErrorHandler, GlobalErrorHandler
from heliograph.sdk.logs import LoggerProvider
from heliograph.sdk.trace import SpanProcessor, Tracer, TracerProvider


class Handler(ErrorHandler, ZeroDivisionError):
    seen: list[Exception] = []  # noqa: RUF012

    def _handle(self, error: Exception, *args: object, **kwargs: object) -> None:
        self.seen.append(error)


class Broken(ErrorHandler, ZeroDivisionError):
    def _handle(self, error: Exception, *args: object, **kwargs: object) -> None:
        raise RuntimeError("broken")


class Installed:
    def __init__(self, handler: type[ErrorHandler]) -> None:
        self.handler = handler

    def load(self) -> type[ErrorHandler]:
        return self.handler


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Installed]]:
    found: list[Installed] = []
    monkeypatch.setattr(error_handler, "entry_points", lambda group: found)
    yield found
    Handler.seen.clear()


def test_an_error_goes_to_the_handlers_of_its_kind(
    installed: list[Installed], caplog: pytest.LogCaptureFixture
) -> None:
    installed += [Installed(Broken), Installed(Handler)]
    with GlobalErrorHandler():
        raise ZeroDivisionError("by zero")
    assert [str(error) for error in Handler.seen] == ["by zero"]
    assert caplog.messages == ["Broken failed"]


def test_an_error_that_no_handler_takes_is_logged(
    installed: list[Installed], caplog: pytest.LogCaptureFixture
) -> None:
    installed.append(Installed(Handler))
    with GlobalErrorHandler():
        raise KeyError("missing")
    assert Handler.seen == []
    assert [record.exc_info is not None for record in caplog.records] == [True]
    with pytest.raises(KeyboardInterrupt), GlobalErrorHandler():
        raise KeyboardInterrupt


def test_a_record_that_repeats_the_one_before_it_is_not_passed() -> None:
    passes = DuplicateFilter().filter
    records = [logging.makeLogRecord({"msg": text}) for text in ("a", "a", "b", "a")]
    assert [passes(record) for record in records] == [True, False, True, True]


def test_a_scope_name_that_is_no_string_raises_nothing() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer(7)  # type: ignore[arg-type]
    assert tracer._instrumentation_scope.name == "7"  # type: ignore[attr-defined]
    LoggerProvider(shutdown_on_exit=False).get_logger(7)  # type: ignore[arg-type]


def test_names_that_packages_import_from_private_places() -> None:
    from heliograph.sdk._logs._internal import LogRecord, SynchronousMultiLogRecordProcessor
    from heliograph.sdk._logs._internal.export import LogRecordExportResult

    from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
    from heliograph.sdk.exporter.otlp.proto.http.trace_exporter import (
        DEFAULT_TIMEOUT,
        OTLPSpanExporter,
    )
    from heliograph.sdk.trace.sampling import _get_parent_trace_state

    assert (DEFAULT_TIMEOUT, _get_parent_trace_state(None)) == (10, None)
    assert {LogRecord, LogRecordExportResult, SynchronousMultiLogRecordProcessor}
    for exporter in (OTLPSpanExporter(headers={"A": "b"}), Grpc(headers={"A": "b"})):
        assert exporter._headers == {"a": "b"}


def test_a_processor_may_be_given_methods_and_taken_out_by_its_private_name() -> None:
    told: list[str] = []
    processor = SpanProcessor()
    processor.on_start = lambda span, parent_context=None: told.append(span.name)  # type: ignore[method-assign]
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.get_tracer("t").start_span("one").end()
    provider._active_span_processor._span_processors = ()
    provider.get_tracer("t").start_span("two").end()
    assert told == ["one"]


class Proxy:
    """As wrapt's."""

    def __init__(self, wrapped: Any) -> None:
        self.__wrapped__ = wrapped


def test_a_proxy_of_a_tracer_may_call_its_class() -> None:
    tracer: Any = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    assert type(tracer).start_span(Proxy(tracer), "one").name == "one"

    class Own(Tracer):
        def start_span(self, *args: Any, **kwargs: Any) -> Any:
            return "own"

    assert Own.start_span(Proxy(tracer), "one") == "own"  # type: ignore[arg-type]
