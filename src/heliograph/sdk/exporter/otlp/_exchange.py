"""What an outcome leads to: the next attempt, smaller requests, or the end.

Decides; knows no clock and no socket.

Spec: OTLP, Failures and Throttling; gRPC and HTTP responses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from heliograph._core import Batch, Outcome

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between attempts, doubled each time."""

HASTE = 0.05
"""Seconds by which each attempt waits longer where the other side asks to come at once."""

WORTH_A_CUT = 16 << 10
"""Bytes up to which RESOURCE_EXHAUSTED is not about the size."""

TOO_LARGE, RESOURCE_EXHAUSTED = 413, 8


@dataclass(eq=False)
class Export:
    """One batch as it was handed over; it may need several requests."""

    batch: Batch
    end: float
    """When it must be delivered, on the scale of ``time.monotonic()``."""
    left: int = 0
    """Requests that are not settled."""
    good: bool = True
    """Whether all settled ones were taken."""
    began: float = field(default_factory=time.monotonic)
    error: str = ""
    """Why one was not, or not all of its items were: an ``error.type``."""
    answer: dict[str, Any] = field(default_factory=dict)
    """What the other side said last, as attributes."""


@dataclass(eq=False)
class Request:
    """One request of an export: due, on its way, or answered."""

    export: Export
    batch: Batch
    due: float
    pause: float = FIRST_PAUSE
    attempts: int = 0
    answers: list[Outcome] = field(default_factory=list)

    def after(self, outcome: Outcome, now: float, chance: float) -> list[Request]:
        """Return what is to be sent after an outcome that is not good; nothing: it is given up.

        Args:
            chance: in [0, 1), spreads the attempts of many programs.
        """
        if is_too_large(outcome, self.batch):
            half = (self.batch.items + 1) // 2
            return [Request(self.export, part, now) for part in self.batch.split(items=half)]
        if not outcome.retryable:
            return []
        if outcome.retry_after is None:
            wait = self.pause * (0.8 + 0.4 * chance)
            self.pause = min(self.pause * 2, LONGEST_PAUSE)
        else:
            wait = max(outcome.retry_after * (1 + 0.2 * chance), HASTE * self.attempts)
        self.attempts += 1
        self.due = now + wait
        return [self] if self.due < self.export.end else []


CODES = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
"""Of gRPC, by number."""


def error_type(outcome: Outcome) -> str:
    """Return the ``error.type`` of an outcome that is not good: an HTTP status or a gRPC code."""
    if outcome.status not in {0, 200}:
        return str(outcome.status)
    return CODES[outcome.code] if outcome.code < len(CODES) else "_OTHER"


def said(outcome: Outcome, *, http: bool) -> dict[str, Any]:
    """Return what the other side said, as attributes."""
    if http:
        return {"http.response.status_code": outcome.status} if outcome.status else {}
    return {"rpc.response.status_code": error_type(outcome)}


def is_too_large(outcome: Outcome, batch: Batch) -> bool:
    """Whether a request was refused for its size, and can be made smaller."""
    if batch.items < 2:
        return False
    if outcome.status == TOO_LARGE:
        return True
    is_exhausted = outcome.code == RESOURCE_EXHAUSTED and not outcome.retryable
    return is_exhausted and batch.nbytes > WORTH_A_CUT


def cut(batch: Batch, most: int | None, *, json: bool) -> list[Batch]:
    """Cut a batch so that no request is larger than ``most`` bytes, single items excepted."""
    if most is None:
        return [batch]
    if not json:
        return [batch] if batch.nbytes <= most else batch.split(nbytes=most)
    if batch.items < 2 or len(batch.json()) <= most:
        return [batch]
    halves = batch.split(items=(batch.items + 1) // 2)
    return [part for half in halves for part in cut(half, most, json=True)]


def partial_success(answer: bytes) -> tuple[int, str]:
    """Return how many items an export response in JSON says were rejected, and why.

    What is no such response says nothing: the request was taken.
    """
    import json  # noqa: PLC0415 - rare, and no part of what every program loads

    try:
        partial = json.loads(answer)["partialSuccess"]
        counts = [int(value) for key, value in partial.items() if key.startswith("rejected")]
        return sum(counts), str(partial.get("errorMessage", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        return 0, ""
