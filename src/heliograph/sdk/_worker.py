"""The thread that exports what a batch processor holds."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,
    attach,
    create_key,
    detach,
    set_value,
)

from heliograph._core import fork_generation
from heliograph.sdk._children import at_the_end
from heliograph.sdk._thread import Thread

_log = logging.getLogger("heliograph.sdk")

PATIENCE = 2.0
"""Seconds without anything being exported after which an exiting program waits no longer."""

EXPORTING = create_key("heliograph-exporting")
"""Stands in the context of what exports; what that logs is not exported in turn."""


def attach_exporting() -> Any:
    """Make a context in which an exporter runs; return the token."""
    return attach(set_value(EXPORTING, True, set_value(_SUPPRESS_INSTRUMENTATION_KEY, True)))


class _Ticket:
    """Somebody waits until all that was held is exported."""

    def __init__(self, answer: Any, *, last: bool = False) -> None:
        self.last = last
        self.answer: queue.SimpleQueue[bool] = answer


class Worker:
    """Runs through ``export(everything)`` every ``delay`` seconds, and when woken.

    ``export`` exports what waits, and yields for each batch whether it was taken; ``everything``
    asks for batches that are not full, too. The thread begins when something is to
    be exported, in each process anew. Only queues that are safe inside signal handlers connect it
    with the program.
    """

    def __init__(self, name: str, export: Callable[[bool], Iterable[bool]], delay: float) -> None:
        self._name = name
        self._export = export
        self._delay = delay
        self._calls: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._generation = fork_generation()
        self._stopped = False
        self._abandoned = False
        self.exported = 0
        """Batches that were exported."""
        self._failures = 0
        self._asked: _Ticket | None = None

    def wake(self, reason: str) -> None:
        """Take a word from the queue: "start" when something is held, "batch" when it is much."""
        if reason == "batch":
            self._calls.put(None)
        elif reason == "start":
            self._start()

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits until all that is held is exported."""
        return self._asked is not None

    def is_here(self) -> bool:
        """Whether the caller is the worker's own thread."""
        return threading.current_thread() is self._thread

    def _start(self) -> None:
        if self._generation != fork_generation():
            self._generation = fork_generation()
            self._thread = self._asked = None
            self._stopped = self._abandoned = False
        if self._thread is None and not self._stopped:
            at_the_end(self.leave)
            # One that fits the thread: gevent replaces both, maybe after this module was imported.
            self._calls = queue.SimpleQueue()
            thread = Thread(self._run, self._name)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is shutting down; who flushes then exports itself.
                return
            self._thread = thread

    def _run(self) -> None:
        attach_exporting()
        while True:
            try:
                ticket = self._calls.get(timeout=self._delay)
            except queue.Empty:
                self._all(everything=True)
                continue
            if ticket is None:
                self._all(everything=False)
                continue
            answer = self._all(everything=True)
            if self._asked is ticket:
                self._asked = None
            ticket.answer.put(answer)
            if ticket.last:
                return

    def _all(self, *, everything: bool) -> bool:
        """Export what is held; return whether all of it was taken."""
        if self._abandoned:
            return False
        good = True
        try:
            for done in self._export(everything):
                self.exported += done
                self._failures += not done
                good = good and done
                if self._abandoned:
                    return False
        except Exception:
            _log.exception("an exporter raised")
            self._failures += 1
            return False
        return good

    def _ask(self, *, last: bool) -> _Ticket:
        self._asked = ticket = _Ticket(type(self._calls)(), last=last)
        self._calls.put(ticket)
        return ticket

    def flush(self, timeout: float, *, last: bool = False) -> bool:
        """Export all that is held; return whether that, and what was on its way, was exported
        within so many seconds."""
        if self._stopped:
            return last
        if self._generation != fork_generation():
            return True
        self._stopped = last
        if self._thread is None or not self._thread.is_alive():
            token = attach_exporting()
            try:
                return self._all(everything=True)
            finally:
                detach(token)
        ticket, failures = self._ask(last=last), self._failures
        try:
            return ticket.answer.get(timeout=max(0.0, timeout)) and self._failures == failures
        except queue.Empty:
            return False

    def leave(self, patience: float = PATIENCE, most: float = 30.0) -> bool:
        """Export all that is held and stop, as long as something gets through every ``patience``
        seconds; return whether all was exported."""
        if self._stopped or self._generation != fork_generation():
            return True
        self._stopped = True
        if self._thread is None or not self._thread.is_alive():
            token = attach_exporting()
            try:
                return self._all(everything=True)
            finally:
                detach(token)
        ticket = self._ask(last=True)
        end = time.monotonic() + most
        while time.monotonic() < end:
            before = self.exported
            try:
                return ticket.answer.get(timeout=patience)
            except queue.Empty:
                if self.exported == before:
                    break
        self._abandoned = True
        return False
