"""Threads of the SDK."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Thread(threading.Thread):
    """A daemon, which may have begun before gevent replaced what threads are made of."""

    def __init__(self, run: Callable[..., None], name: str, *given: Any) -> None:
        super().__init__(target=run, name=name, args=given, daemon=True)

    def _delete(self) -> None:
        # gevent knows such a thread by another number; nothing but a traceback depends on it.
        with suppress(KeyError):
            super()._delete()  # type: ignore[misc] # not in the stubs


class Elsewhere:
    """Runs calls that may take too long on a thread, one at a time, in the caller's context."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: threading.Thread | None = None

    def run(self, call: Callable[[], Any], seconds: float) -> Any:
        """Return what a call returns, or raise what it raises.

        Raises: TimeoutError when it takes longer than so many seconds, which it then goes on with,
            or while one before still does.
        """
        if self._running is not None and self._running.is_alive():
            raise TimeoutError("the call before has not returned")
        answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def work() -> None:
            try:
                answer.put((call(), None))
            except BaseException as error:
                answer.put((None, error))

        thread = Thread(contextvars.copy_context().run, self._name, work)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is shutting down.
            return call()
        self._running = thread
        try:
            result, error = answer.get(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX))
        except queue.Empty:
            raise TimeoutError(f"no answer within {seconds:.1f} s") from None
        self._running = None
        if error is not None:
            raise error
        return result
