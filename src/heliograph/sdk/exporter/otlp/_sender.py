"""Sends batches over the native client, from ordinary threads."""

from __future__ import annotations

import logging
import random
import select
import threading
import time
from collections.abc import Callable
from typing import Any

from heliograph._core import (
    Batch,
    Events,
    GrpcClient,
    HttpClient,
    Outcome,
    forget,
    fork_generation,
)
from heliograph.sdk.exporter.otlp._settings import Settings

_log = logging.getLogger("heliograph.sdk.exporter")

SAY_AGAIN = 60.0
"""Seconds between two lines about the same trouble."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between attempts, doubled each time."""


class Sender:
    """Sends batches to one place, one at a time, and tries again while there is time.

    Nothing is opened before the first batch. A forked child opens its own connection and leaves
    the inherited one alone.

    Args:
        make: `GrpcClient` or `HttpClient`.
        max_bytes: larger batches go as several requests.
    """

    def __init__(
        self,
        make: Callable[[Events, Any], Any],
        settings: Settings,
        max_bytes: int | None = None,
    ) -> None:
        self._make = make
        self._settings = settings
        self._max_bytes = max_bytes
        self._client: GrpcClient | HttpClient | None = None
        self._events: Events | None = None
        self._generation = fork_generation()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._said = float("-inf")

    def send(self, batch: Batch, timeout: float | None = None) -> bool:
        """Return whether the batch was taken, within the exporter's time-out and ``timeout``."""
        if self._generation != fork_generation():
            self._forget()
        own = self._settings.timeout
        end = time.monotonic() + (own if timeout is None else min(own, timeout))
        if not self._lock.acquire(timeout=max(0.0, end - time.monotonic())):
            return self._failed(batch, "another export took all the time")
        try:
            is_small = self._max_bytes is None or batch.nbytes <= self._max_bytes
            parts = [batch] if is_small else batch.split(nbytes=self._max_bytes)
            sent = [self._attempts(part, end) for part in parts]
            return all(sent)
        except Exception as error:
            return self._failed(batch, str(error))
        finally:
            self._lock.release()

    def _attempts(self, batch: Batch, end: float) -> bool:
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            outcome = self._once(batch, end - time.monotonic())
            if outcome is None:
                return self._failed(batch, "no answer in time")
            if outcome.ok:
                self._accepted(batch, outcome)
                return True
            reason = outcome.message or f"status {outcome.status or outcome.code}"
            wait = outcome.retry_after or pause * random.uniform(0.8, 1.2)  # noqa: S311
            if not outcome.retryable or time.monotonic() + wait >= end:
                return self._failed(batch, reason)
            self._closed.wait(wait)
            pause = min(pause * 2, LONGEST_PAUSE)
        return self._failed(batch, "the exporter was shut down")

    def _once(self, batch: Batch, timeout: float) -> Outcome | None:
        """Send once; None when there is no outcome in time."""
        if self._client is None or self._events is None:
            self._events = Events()
            self._client = self._make(self._events, self._settings.native)
        answers: list[Outcome] = []
        call = self._client.send(batch, max(0.0, timeout), answers.append)
        end = time.monotonic() + timeout + 0.5
        poll = select.poll()
        poll.register(self._events.fileno(), select.POLLIN)
        while time.monotonic() < end and not self._closed.is_set():
            # In slices, so that a shut-down is noticed.
            if poll.poll(200):
                for target, payload in self._events.drain():
                    target(payload)
            if answers:
                return answers[0]
        call.cancel()
        return None

    def _accepted(self, batch: Batch, outcome: Outcome) -> None:
        self._said = float("-inf")
        if outcome.rejected or outcome.message:
            _log.warning(
                "%s took all but %d of %d items: %s",
                self._settings.where,
                outcome.rejected,
                batch.items,
                outcome.message,
            )

    def _failed(self, batch: Batch, reason: str) -> bool:
        if time.monotonic() - self._said >= SAY_AGAIN:
            self._said = time.monotonic()
            where, items = self._settings.where, batch.items
            _log.error("%d items could not be exported to %s: %s", items, where, reason)
        return False

    def _forget(self) -> None:
        """Begin anew in a forked child."""
        for inherited in (self._client, self._events):
            if inherited is not None:
                # Closing it would silence the parent, whose sockets and epoll these are.
                forget(inherited)
        self._client = self._events = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._generation = fork_generation()

    def close(self) -> None:
        """Give up what is on its way and send nothing more."""
        self._closed.set()
