"""Names and habits that packages for the official SDK rely on."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from heliograph.sdk import error_handler
from heliograph.sdk._shared_internal import DuplicateFilter
from heliograph.sdk.error_handler import ErrorHandler, GlobalErrorHandler
from heliograph.sdk.logs import LoggerProvider
from heliograph.sdk.trace import TracerProvider


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
