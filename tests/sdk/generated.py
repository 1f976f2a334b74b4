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


class Huge(int):
    pass


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


try:
    import numpy

    NUMPY: list[Any] = [
        *(numpy.int64(-3), numpy.uint64(2**64 - 1), numpy.float64(1.5), numpy.float32(0.1)),
        *(numpy.bool_(True), numpy.str_("text"), numpy.bytes_(b"bytes"), numpy.array([1, 2])),
        [numpy.int64(1), numpy.float64(2)],
    ]
except ImportError:
    # Not among what the tests need.
    NUMPY = [None]


class Dice(random.Random):
    """Chooses what a program does; each value that it makes is handed through ``shown``."""

    def __init__(self, seed: int, shown: Callable[[Any], Any] = lambda value: value) -> None:
        super().__init__(seed)
        self.shown = shown


VALUES: list[Callable[[Dice], Any]] = [
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
    lambda r: r.choice([2**63, -(2**63) - 1, 10**30, Huge(2**64), [1, 2**64], {"n": (2**70,)}]),
    lambda r: r.choice(["\ud800", "a\udfffb", Word("\ud800"), ["\ud800"], {"k\ud800": "\udc00"}]),
    lambda r: r.choice(NUMPY),
    lambda r: r.choice([Told(), Mute(), {1}, bytearray(b"ab"), {"": 1, "a": 2}, {3: "three"}]),
]


def value(r: Dice) -> Any:
    return r.shown(r.choice(VALUES)(r))


def key(r: Dice) -> str:
    keys = ["a", "b", "c", "http.route", "ключ", "k" * 150, "\ud800", f"key.{r.randint(0, 30)}"]
    chosen: str = r.shown(r.choice(keys))
    return chosen


def attributes(r: Dice) -> Any:
    found: dict[Any, Any] = {key(r): value(r) for _ in range(r.randint(0, 6))}
    if r.random() < 0.1:
        found[r.choice(["", 5, None, Word("w")])] = 1
    return r.choice([found, found, found, None, MappingProxyType(found), OrderedDict(found)])


def span_context(r: Dice) -> SpanContext:
    state = TraceState([("vendor", "x"), ("other", "y")]) if r.random() < 0.3 else None
    return SpanContext(
        r.choice([0, 1, 2**128 - 1, r.getrandbits(128)]),
        r.choice([0, 1, 2**64 - 1, r.getrandbits(64)]),
        r.random() < 0.5,
        TraceFlags(r.randint(0, 3)),
        state,
    )


def links(r: Dice) -> Any:
    count = r.choice([0, 0, 1, 3])
    return [Link(span_context(r), attributes(r)) for _ in range(count)] or r.choice([None, ()])


def status(r: Dice) -> tuple[Any, ...]:
    code = r.choice(list(StatusCode))
    if r.random() < 0.5:
        return (Status(code, r.choice([None, "", "why"]) if code is StatusCode.ERROR else None),)
    return (code, "why") if code is StatusCode.ERROR else (code,)


def change(r: Dice, span: Any) -> None:
    act = r.randint(0, 9)
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
    elif act == 8:
        forgetful(r, span)
    else:
        span.record_exception(r.choice([ValueError("v"), Oddity("ü"), KeyError(1)]), attributes(r))


def forgetful(r: Dice, span: Any) -> None:
    """Go on with values that were handed over: nothing of that is recorded."""
    values: list[Any] = [1, [2]]
    more = {"list": values, "nested": {"a": values}}
    span.set_attribute(key(r), values)
    span.set_attributes(more)
    span.add_event(key(r), more)
    values[1].append(3)
    values.append(4)
    more["nested"]["b"] = 5
    del more["list"]


def parent(r: Dice) -> Context | None:
    if r.random() < 0.6:
        return None
    return set_span_in_context(NonRecordingSpan(span_context(r)), Context())


def start(r: Dice) -> dict[str, Any]:
    return {
        "name": key(r),
        "context": parent(r),
        "kind": r.choice(list(SpanKind)),
        "attributes": attributes(r),
        "links": links(r),
        "start_time": r.choice([None, None, 1, 2**62]),
    }


def run(
    seed: int,
    tracer: trace.Tracer,
    clock: Clock,
    shown: Callable[[Any], Any] = lambda value: value,
) -> None:
    """Run the program of this seed, whose values are handed through ``shown``."""
    r = Dice(seed, shown)
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
