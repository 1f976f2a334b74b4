"""Random programs that trace, run alike against any SDK behind the official API."""

from __future__ import annotations

import enum
import itertools
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)


class Number(enum.IntEnum):
    ONE = 1


class Word(str):
    def __str__(self) -> str:
        return "never asked for"


class Told:
    def __str__(self) -> str:
        return "told"


class Mute:
    pass


class Oddity(Exception):
    pass


class Ids:
    """Ids that count, as both SDKs take a generator."""

    def __init__(self) -> None:
        self._next = itertools.count(1)

    def generate_span_id(self) -> int:
        return next(self._next)

    def generate_trace_id(self) -> int:
        return next(self._next) << 64 | 7

    def is_trace_id_random(self) -> bool:
        return False


class Clock:
    """A clock that both SDKs are held to; it moves at each step of a program."""

    def __init__(self, hold: Callable[[int], None]) -> None:
        self._hold = hold
        self.now = 1_700_000_000_000_000_000
        hold(self.now)

    def step(self) -> None:
        self.now += 1_000_001
        self._hold(self.now)


VALUES: list[Callable[[random.Random], Any]] = [
    lambda r: r.choice(["", "text", "ä€😀" * r.randint(1, 90), "x" * 200]),
    lambda r: r.randint(-(2**63), 2**63 - 1),
    lambda r: r.choice([0, 1, -1, 127, 128, 300, 2**31]),
    lambda r: r.choice([True, False, None, Number.ONE, Word("word")]),
    lambda r: r.choice([0.0, -0.0, 1.0, 1.5, float("nan"), float("inf"), -1e308]),
    lambda r: r.choice([b"", b"\x00\xff", bytes(200)]),
    lambda r: [value(r) for _ in range(r.randint(0, 3))],
    lambda r: tuple(value(r) for _ in range(r.randint(0, 3))),
    lambda r: {key(r): value(r) for _ in range(r.randint(0, 3))},
    lambda r: r.choice([deque([1, "a"]), range(3), OrderedDict(a=1), MappingProxyType({"b": 2})]),
    lambda r: r.choice([Told(), Mute(), {1}, bytearray(b"ab"), {"": 1, "a": 2}, {3: "three"}]),
]


def value(r: random.Random) -> Any:
    return r.choice(VALUES)(r)


def key(r: random.Random) -> str:
    return r.choice(["a", "b", "c", "http.route", "ключ", "k" * 150, f"key.{r.randint(0, 30)}"])


def attributes(r: random.Random) -> Any:
    found: dict[Any, Any] = {key(r): value(r) for _ in range(r.randint(0, 6))}
    if r.random() < 0.1:
        found[r.choice(["", 5, None, Word("w")])] = 1
    return r.choice([found, found, found, None, MappingProxyType(found), OrderedDict(found)])


def span_context(r: random.Random) -> SpanContext:
    state = TraceState([("vendor", "x"), ("other", "y")]) if r.random() < 0.3 else None
    return SpanContext(
        r.choice([0, 1, 2**128 - 1, r.getrandbits(128)]),
        r.choice([0, 1, 2**64 - 1, r.getrandbits(64)]),
        r.random() < 0.5,
        TraceFlags(r.randint(0, 3)),
        state,
    )


def links(r: random.Random) -> Any:
    count = r.choice([0, 0, 1, 3])
    return [Link(span_context(r), attributes(r)) for _ in range(count)] or r.choice([None, ()])


def status(r: random.Random) -> tuple[Any, ...]:
    code = r.choice(list(StatusCode))
    if r.random() < 0.5:
        return (Status(code, r.choice([None, "", "why"]) if code is StatusCode.ERROR else None),)
    return (code, "why") if code is StatusCode.ERROR else (code,)


def change(r: random.Random, span: Any) -> None:
    act = r.randint(0, 8)
    if act <= 2:
        span.set_attribute(key(r), value(r))
    elif act == 3:
        span.set_attributes(attributes(r) or {})
    elif act == 4:
        span.add_event(key(r), attributes(r), r.choice([None, None, 5, 2**63]))
    elif act == 5:
        span.add_link(span_context(r), attributes(r))
    elif act == 6:
        span.set_status(*status(r))
    elif act == 7:
        span.update_name(key(r))
    else:
        span.record_exception(r.choice([ValueError("v"), Oddity("ü"), KeyError(1)]), attributes(r))


def parent(r: random.Random) -> Context | None:
    if r.random() < 0.6:
        return None
    return set_span_in_context(NonRecordingSpan(span_context(r)), Context())


def start(r: random.Random) -> dict[str, Any]:
    return {
        "name": key(r),
        "context": parent(r),
        "kind": r.choice(list(SpanKind)),
        "attributes": attributes(r),
        "links": links(r),
        "start_time": r.choice([None, None, 1, 2**62]),
    }


def run(seed: int, tracer: trace.Tracer, clock: Clock) -> None:
    """Run the program of this seed."""
    r = random.Random(seed)
    with ExitStack() as stack:
        for _ in range(r.randint(1, 4)):
            clock.step()
            if r.random() < 0.5:
                span = stack.enter_context(tracer.start_as_current_span(**start(r)))
            else:
                span = tracer.start_span(**start(r))
                stack.callback(span.end, r.choice([None, 2**62 + 5]))
            for _ in range(r.randint(0, 8)):
                clock.step()
                change(r, span)
        if r.random() < 0.2:
            clock.step()
            span.end()
            change(r, span)
