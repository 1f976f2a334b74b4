"""Taking what `logging` logs, whatever the program does to its handlers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from heliograph.sdk.logs import LoggingHandler


class Attached(LoggingHandler):
    """A handler beside those of the program, not among them: `logging.basicConfig` and
    ``dictConfig`` neither see nor remove it, and Python's handler of last resort works as ever.

    It leaves to a `LoggingHandler` of the program what that one takes.
    """

    def _show(self, record: logging.LogRecord) -> None:
        """`logging` itself shows what has no handler."""


def attach(provider: Any) -> tuple[Attached, Callable[[], None]]:
    """Let a handler take every record that a logger hands out; return it, and what ends that."""
    handler = Attached(logger_provider=provider)
    # Nobody but this module flushes or closes it.
    before = logging.Logger.callHandlers

    def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        before(logger, record)
        if not _is_taken(logger):
            handler.handle(record)

    def detach() -> None:
        if logging.Logger.callHandlers is call_handlers:
            logging.Logger.callHandlers = before  # type: ignore[method-assign]
        handler.setLevel(logging.CRITICAL + 1000)
        handler.addFilter(lambda record: False)

    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign, assignment]
    return handler, detach


def _is_taken(logger: logging.Logger | None) -> bool:
    """Whether a handler of the program exports the records of this logger."""
    while logger is not None:
        for one in logger.handlers:
            if isinstance(one, LoggingHandler) or type(one).__name__ == "LoggingHandler":
                return True
        logger = logger.parent if logger.propagate else None
    return False
