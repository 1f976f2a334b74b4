"""What the native recorder asks Python for: seldom, and never to hold a lock meanwhile."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import Status, StatusCode

from heliograph._core import CurrentSpan
from heliograph.sdk._fence import exception_fields, message_of
from heliograph.sdk._fence import failed as failed  # the core calls it
from heliograph.sdk.trace._readable import SpanView
from heliograph.sdk.trace.sampling import (
    Decision,
    ParentBased,
    StaticSampler,
    TraceIdRatioBased,
    choose,
)

_log = logging.getLogger("heliograph.sdk.trace")

view = SpanView


def plan(sampler: Any) -> Any:
    """Return how the core may decide without asking, or the sampler itself."""
    kind = type(sampler)
    if kind is StaticSampler and sampler._decision is not Decision.RECORD_ONLY:
        return sampler._decision is Decision.RECORD_AND_SAMPLE
    if kind is TraceIdRatioBased:
        return sampler.threshold, sampler.root_state
    if isinstance(sampler, ParentBased) and kind.should_sample is ParentBased.should_sample:
        return (
            plan(sampler._root),
            plan(sampler._remote_parent_sampled),
            plan(sampler._remote_parent_not_sampled),
            plan(sampler._local_parent_sampled),
            plan(sampler._local_parent_not_sampled),
        )
    return sampler


ratio = choose


def baggage_dropped(members: int) -> None:
    """Say that baggage was too large for its header."""
    _log.warning("%d entries of baggage are too large or too many to propagate", members)


def too_late(what: str) -> None:
    """Say that an ended span was called."""
    _log.warning("%s was called on a span that has ended", what)


def core_failed(what: str, message: str) -> None:
    """Say that the core has a bug; what it worked on is lost."""
    _log.error("%s was lost to a bug in the native core, as may be others: %s", what, message)


def started_twice() -> None:
    """Say that a started span was to start."""
    _log.warning("start was called on a span that has started")


def status(given: Any, description: str | None) -> tuple[int, str | None] | None:
    """Return the code as OTLP numbers it and the message; None for what is no status."""
    if isinstance(given, StatusCode):
        given = Status(given, description)
    elif not isinstance(given, Status):
        return None
    elif description is not None:
        _log.warning("the description %r is ignored: the status has its own", description)
    return given.status_code.value, given.description


def record_exception(
    span: Any,
    exception: BaseException,
    attributes: Mapping[str, Any] | None,
    timestamp: int | None,
    escaped: bool,
) -> None:
    """Add the event that stands for an exception.

    Spec: Semantic Conventions, Exceptions on Spans.
    """
    found = exception_fields(exception) | {"exception.escaped": str(escaped)}
    span.add_event("exception", found | dict(attributes or {}), timestamp)


def note_exception(
    span: Any, exception: BaseException, record: bool, set_status: bool, escaped: bool = False
) -> None:
    """Note the exception that leaves a ``with`` block of this span."""
    if not span.is_recording():
        return
    if record:
        span.record_exception(exception, escaped=escaped)
    if set_status:
        span.set_status(
            Status(StatusCode.ERROR, f"{type(exception).__name__}: {message_of(exception)}")
        )


def decorate(current: CurrentSpan, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with a span of its own around each call, a coroutine's end included."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with current.again():
                return await function(*args, **kwargs)

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with current.again():
            return function(*args, **kwargs)

    return called
