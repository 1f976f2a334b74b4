"""Sends batches over the native client, from ordinary threads."""

from __future__ import annotations

import logging
import random
import select
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from heliograph._core import (
    Batch,
    Call,
    Events,
    GrpcClient,
    HttpClient,
    Outcome,
    forget,
    fork_generation,
)
from heliograph.sdk._exit import is_ending
from heliograph.sdk._self_metrics import EXPORT, UNOBSERVED
from heliograph.sdk.exporter.otlp._exchange import (
    Export,
    Request,
    cut,
    error_type,
    partial_success,
    said,
)
from heliograph.sdk.exporter.otlp._settings import Settings

_log = logging.getLogger("heliograph.sdk.exporter")

SAY_AGAIN = 60.0
"""Seconds between two lines about the same trouble."""

CONCURRENCY = 8
"""Requests on their way at a time, unless told otherwise."""

GRACE = 0.5
"""Seconds after which an answer that the client should have given up for is waited for no more."""

SHUT_DOWN = "the exporter was shut down"
TOO_LATE = "no answer in time"

SLICE = 0.2
"""Seconds after which a shut-down is noticed at the latest."""


OPTIONS = {
    "ca_file": "CERTIFICATE",
    "cert_file": "CLIENT_CERTIFICATE",
    "key_file": "CLIENT_KEY",
    "compression": "COMPRESSION",
    **dict.fromkeys(
        ("endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint"), "ENDPOINT"
    ),
}
"""Variables of what the native clients call their options."""


class Sender:
    """Sends batches to one place, and tries again while there is time.

    Several requests are on their way at a time, but one alone until the first is taken, and after
    one that was not: what waits in the meantime is not given up.

    Nothing is opened before the first batch. A forked child opens its own connection and leaves
    the inherited one alone.

    Args:
        make: `GrpcClient` or `HttpClient`.
        max_bytes: larger batches go as several requests.
        concurrency: the most requests at a time.

    Raises: ValueError when a bound is not positive.
    Spec: OTLP, Concurrent Requests.
    """

    def __init__(
        self,
        make: Callable[[Events, Any], Any],
        settings: Settings,
        max_bytes: int | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        for name, value in {
            "max_request_size": max_bytes,
            "max_concurrent_requests": concurrency,
        }.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, not positive")
        self._make = make
        self._settings = settings
        self._is_json = bool(settings.native.get("json"))
        self._max_bytes = max_bytes
        self._concurrency = concurrency
        self._is_sure = False
        self._client: GrpcClient | HttpClient | None = None
        self._events: Events | None = None
        self._generation = fork_generation()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._said: dict[str, float] = {}
        self.exported = 0
        """Items that were taken."""
        self.rejected = 0
        """Items that were refused though their request was taken: a partial success."""
        self.failed = 0
        """Items whose request was given up."""
        self.failures: Counter[str] = Counter()
        """The same by ``error.type``."""
        self.inflight = 0
        """Items that are being sent."""
        self.own = UNOBSERVED
        """Takes how long exports took."""
        self.trouble = f"{settings.where}: no answer"
        """What went wrong last, and where."""

    def send(self, batch: Batch, timeout: float | None = None) -> bool:
        """Return whether the batch was taken, within the exporter's time-out and ``timeout``."""
        return all(list(self.send_all(iter((batch,)), timeout)))

    def send_all(self, batches: Iterator[Batch], timeout: float | None = None) -> Iterator[bool]:
        """Send batches, each within the time-outs; yield for each, when it is settled, whether it
        was taken. Leaving early cancels what is on its way."""
        if self._generation != fork_generation():
            self._forget()
        own = self._settings.timeout
        most = own if timeout is None else max(0.0, min(own, timeout))
        end = time.monotonic() + most
        if not self._lock.acquire(timeout=most):
            # The other batches may still find room later.
            for batch in islice(batches, 1):
                yield self._failed(batch, "another export took all the time", "timeout")
            return
        flying: dict[Request, Call] = {}
        try:
            yield from self._pump(batches, flying, most, end)
        finally:
            for call in flying.values():
                call.cancel()
            self.inflight = 0
            self._lock.release()

    def _pump(
        self,
        batches: Iterator[Batch],
        flying: dict[Request, Call],
        most: float,
        end: float | None,
    ) -> Iterator[bool]:
        """Keep requests on their way until there are no more; ``end`` is the first one's."""
        waiting: list[Request] = []
        while True:
            while len(waiting) + len(flying) < (self._concurrency if self._is_sure else 1):
                batch = next(batches, None)
                if batch is None:
                    break
                export = Export(batch, end or time.monotonic() + most)
                end = None
                self.inflight += batch.items
                waiting += self._requests(export)
            if not waiting and not flying:
                return
            verdicts = [*self._launch(waiting, flying), *self._landed(waiting, flying)]
            for request, verdict in verdicts:
                waiting += self._after(request, verdict)
                if not request.export.left:
                    self._settled(request.export)
                    yield request.export.good

    def _settled(self, export: Export) -> None:
        self.inflight -= export.batch.items
        if self.own.is_observed:
            more = export.answer | ({"error.type": export.error} if export.error else {})
            self.own.took(EXPORT, time.monotonic() - export.began, more)

    def _requests(self, export: Export) -> list[Request]:
        batch = export.batch
        try:
            parts = cut(batch, self._max_bytes, json=self._is_json)
        except Exception:
            # Bytes that cannot be read go as they are; the other side says what it thinks.
            parts = [batch]
        export.left = len(parts)
        return [Request(export, part, 0.0) for part in parts]

    def _launch(
        self, waiting: list[Request], flying: dict[Request, Call]
    ) -> Iterator[tuple[Request, str]]:
        """Send what is due, as far as there is room; yield what could not be sent."""
        if self._closed.is_set():
            return
        now = time.monotonic()
        room = (self._concurrency if self._is_sure else 1) - len(flying)
        for request in [request for request in waiting if request.due <= now][: max(0, room)]:
            waiting.remove(request)
            request.answers.clear()
            left = max(0.0, request.export.end - now)
            try:
                if self._client is None or self._events is None:
                    self._events = Events()
                    self._client = self._make(self._events, self._settings.native)
                flying[request] = self._client.send(request.batch, left, request.answers.append)
            except Exception as error:
                yield request, self._wrong(error)

    def _wrong(self, error: Exception) -> str:
        """Return what is wrong with the settings, by the variables that set them."""
        if len(error.args) != 2:
            return str(error)
        option, said = error.args
        name = OPTIONS.get(str(option).rpartition(".")[2])
        return f"{option if name is None else f'OTEL_EXPORTER_OTLP_{name}'} {said}"

    def _landed(
        self, waiting: list[Request], flying: dict[Request, Call]
    ) -> Iterator[tuple[Request, Outcome | str]]:
        """Wait for answers, or until something is due; yield what was answered or is too late."""
        now = time.monotonic()
        soonest = min((request.due - now for request in waiting), default=SLICE)
        if any(request.answers for request in flying):
            pass
        elif flying and self._events is not None:
            # A request may wait for room only, and then it is due already.
            if _readable(self._events, SLICE if soonest <= 0 else min(soonest, SLICE)):
                for target, payload in self._events.drain():
                    target(payload)
        elif soonest > 0:
            self._closed.wait(min(soonest, SLICE))
        now = time.monotonic()
        is_closed = self._closed.is_set()
        for request in list(flying):
            if request.answers:
                del flying[request]
                yield request, request.answers[0]
            elif is_closed or now > request.export.end + GRACE:
                flying.pop(request).cancel()
                yield request, SHUT_DOWN if is_closed else TOO_LATE
        while is_closed and waiting:
            yield waiting.pop(), SHUT_DOWN

    def _after(self, request: Request, verdict: Outcome | str) -> list[Request]:
        """Count and say what became of a request; return those that follow it."""
        export = request.export
        follow: list[Request] = []
        if isinstance(verdict, str):
            export.error = {SHUT_DOWN: "shutdown", TOO_LATE: "timeout"}.get(verdict, "_OTHER")
            self._failed(request.batch, verdict, export.error)
        elif verdict.ok:
            export.answer = said(verdict, http=self._make is not GrpcClient)
            if self._taken(request.batch, verdict):
                export.error = export.error or "rejected"
            export.left -= 1
            return follow
        else:
            export.answer = said(verdict, http=self._make is not GrpcClient)
            self._is_sure = self._is_sure and not verdict.retryable
            follow = request.after(verdict, time.monotonic(), random.random())  # noqa: S311
            reason = verdict.message or f"status {verdict.status or verdict.code}"
            self.trouble = f"{self._settings.where}: {reason}"
            if not follow:
                export.error = error_type(verdict)
                self._failed(request.batch, reason, export.error)
        export.left += len(follow) - 1
        export.good = export.good and bool(follow)
        return follow

    def _taken(self, batch: Batch, outcome: Outcome) -> int:
        """Count and say what was taken; return how many items were not."""
        self._is_sure = True
        self._said.pop("failed", None)
        self.trouble = f"{self._settings.where}: no answer"
        rejected, message = outcome.rejected, outcome.message
        if outcome.json:
            rejected, message = partial_success(outcome.json)
        self.exported += batch.items - rejected
        self.rejected += rejected
        if (rejected or message) and self._is_news("partial"):
            _log.warning(
                "%s took all but %d of %d items: %s",
                self._settings.where,
                rejected,
                batch.items,
                message,
            )
        return rejected

    def _failed(self, batch: Batch, reason: str, kind: str) -> bool:
        self.failed += batch.items
        self.failures[kind] += batch.items
        where, items = self._settings.where, batch.items
        if reason != SHUT_DOWN:
            self.trouble = f"{where}: {reason}"
        if not is_ending() and self._is_news("failed"):
            _log.error("%d items could not be exported to %s: %s", items, where, reason)
        return False

    def _is_news(self, what: str) -> bool:
        """Whether it is time to speak of this trouble."""
        now = time.monotonic()
        if now - self._said.get(what, float("-inf")) < SAY_AGAIN:
            return False
        self._said[what] = now
        return True

    def _forget(self) -> None:
        """Begin anew in a forked child."""
        for inherited in (self._client, self._events):
            if inherited is not None:
                # Closing it would silence the parent, whose sockets and epoll these are.
                forget(inherited)
        self._client = self._events = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._is_sure = False
        self.exported = self.rejected = self.failed = self.inflight = 0
        self.failures.clear()
        self._generation = fork_generation()

    def close(self) -> None:
        """Give up what is on its way and send nothing more."""
        self._closed.set()


def _readable(events: Events, seconds: float) -> bool:
    """Wait until there are events, at most so long; return whether there are."""
    if sys.platform == "win32":
        return bool(select.select([events], [], [], seconds)[0])
    # select() takes no descriptor above 1023.
    poll = select.poll()
    poll.register(events.fileno(), select.POLLIN)
    return bool(poll.poll(1000 * seconds))
