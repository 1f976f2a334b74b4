"""The thread that exports what a batch processor holds."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from typing import Any

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,
    attach,
    create_key,
    detach,
    set_value,
)

from heliograph._core import fork_generation
from heliograph.sdk._exit import heed_other_ends
from heliograph.sdk._thread import Thread

_log = logging.getLogger("heliograph.sdk")

EXPORTING = create_key("heliograph-exporting")
"""Stands in the context of what exports; what that logs is not exported in turn."""


def attach_exporting() -> Any:
    """Make a context in which an exporter runs; return the token."""
    return attach(set_value(EXPORTING, True, set_value(_SUPPRESS_INSTRUMENTATION_KEY, True)))


class _Ticket:
    """Somebody waits until all that was held is exported."""

    def __init__(self, answer: Any, *, last: bool = False) -> None:
        self.last = last
        self.good: bool | None = None
        """Whether all was exported; None until that is known."""
        self._answer: queue.SimpleQueue[None] = answer

    def answer(self, good: bool) -> None:
        """Say how it went."""
        self.good = good
        self._answer.put(None)

    def is_answered(self, wait: float) -> bool:
        """Whether that was said; waits so many seconds for it."""
        if self.good is None and wait > 0:
            with suppress(queue.Empty):
                self._answer.get(timeout=wait)
        return self.good is not None


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
        self._last: _Ticket | None = None
        self.within = inf
        """Seconds that an export may take at most."""

    def wake(self, reason: str) -> None:
        """Take a word from the queue: "start" when something is held, "batch" when it is much."""
        if reason == "batch":
            self._calls.put(None)
        elif reason == "start":
            self._start()

    @property
    def is_of_this_process(self) -> bool:
        """Whether something was held since the last fork."""
        return self._generation == fork_generation()

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
            self._thread = self._asked = self._last = None
            self._stopped = self._abandoned = False
        if self._thread is None and not self._stopped:
            heed_other_ends()
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
            ticket.answer(answer)
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
            # A signal that ends the process may have interrupted the leaving.
            return last or (self._last is not None and self.has_left(timeout))
        if self._generation != fork_generation():
            return True
        self._stopped = last
        if not self._has_thread:
            return self._here(timeout)
        ticket, failures = self._ask(last=last), self._failures
        return ticket.is_answered(timeout) and bool(ticket.good) and self._failures == failures

    def begin_leaving(self, within: float) -> None:
        """Export all that is held, and then no more; without a thread here, in so many seconds."""
        if self._stopped or self._generation != fork_generation():
            return
        self._stopped = True
        if self._has_thread:
            self._last = self._ask(last=True)
        else:
            self._last = _Ticket(queue.SimpleQueue(), last=True)
            self._last.answer(self._here(within))

    def has_left(self, wait: float) -> bool:
        """Whether that is done; waits so many seconds for it."""
        return self._last is None or self._last.is_answered(wait)

    @property
    def left_well(self) -> bool:
        """Whether all was exported that was held when the leaving began."""
        return self._last is None or bool(self._last.good)

    def abandon(self) -> None:
        """Export no more."""
        self._abandoned = True

    @property
    def _has_thread(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _here(self, within: float) -> bool:
        self.within, token = within, attach_exporting()
        try:
            return self._all(everything=True)
        finally:
            detach(token)
            self.within = inf
