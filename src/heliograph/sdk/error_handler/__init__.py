"""Handlers of errors that packages install under ``opentelemetry_error_handler``.

Nothing in this SDK raises into it; programs use it around code of their own::

    with GlobalErrorHandler():
        1 / 0

Spec: Error handling.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar

from opentelemetry.util._importlib_metadata import entry_points

_logger = logging.getLogger(__name__)


class ErrorHandler(ABC):
    """Base of handlers: a handler that is also an exception class gets its kind of errors."""

    @abstractmethod
    def _handle(self, error: Exception, *args: object, **kwargs: object) -> None:
        """Take an error."""


class _DefaultErrorHandler(ErrorHandler):
    """Logs what no installed handler takes."""

    def _handle(self, error: Exception, *args: object, **kwargs: object) -> None:
        _logger.error("Error handled by default error handler: ", exc_info=error)


class GlobalErrorHandler:
    """Gives errors in its ``with`` block to the installed handlers, and keeps them from its user.

    There is one instance.
    """

    _instance: ClassVar[GlobalErrorHandler | None] = None

    def __new__(cls) -> GlobalErrorHandler:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Hand an error out; ``KeyboardInterrupt`` and its kind go on."""
        if not isinstance(error, Exception):
            return None
        handled = False
        for entry_point in entry_points(group="opentelemetry_error_handler"):
            handler = entry_point.load()
            if not issubclass(handler, type(error)):
                continue
            try:
                handler()._handle(error)
                handled = True
            except Exception as failure:
                _logger.error("%s failed", handler.__name__, exc_info=failure)
        if not handled:
            _DefaultErrorHandler()._handle(error)
        return True
