"""CPU of `inject` and `extract` through `opentelemetry.propagate`, ours and the API's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider as OfficialProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from heliograph.sdk.propagators.w3c import W3CPropagator
from heliograph.sdk.trace import TracerProvider

ROUNDS = 9
COUNT = 5_000
PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
FULL = {
    **PARENT,
    "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    "baggage": "tenant=seven,user=ann%20b",
}
BAGGAGE = {"tenant": "seven", "user": "ann b"}
Side = tuple[Any, Any]
SIDES: tuple[Side, Side] = (
    (W3CPropagator(), TracerProvider(shutdown_on_exit=False)),
    (
        CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()]),
        OfficialProvider(shutdown_on_exit=False),
    ),
)


def injecting(entries: dict[str, str]) -> Callable[[Side], Callable[[], Any]]:
    def make(side: Side) -> Callable[[], Any]:
        context = trace.set_span_in_context(side[1].get_tracer("b").start_span("one"), Context())
        for key, value in entries.items():
            context = baggage.set_baggage(key, value, context)
        return lambda: propagate.inject({}, context)

    return make


def extracting(headers: dict[str, str]) -> Callable[[Side], Callable[[], Any]]:
    return lambda side: lambda: propagate.extract(headers)


CASES = {
    "k inject, no baggage": injecting({}),
    "k inject, 2 entries of baggage": injecting(BAGGAGE),
    "k extract, traceparent alone": extracting(PARENT),
    "k extract, with tracestate and baggage of 2": extracting(FULL),
}


def cost(work: Callable[[], Any]) -> float:
    began = time.process_time_ns()
    for _ in range(COUNT):
        work()
    return (time.process_time_ns() - began) / COUNT


def measure(make: Callable[[Side], Callable[[], Any]]) -> tuple[float, float]:
    """CPU nanoseconds an operation, medians of both sides in turn."""
    found: tuple[list[float], list[float]] = ([], [])
    before = propagate.get_global_textmap()
    work = [make(side) for side in SIDES]
    for _ in range(ROUNDS):
        for side, call, costs in zip(SIDES, work, found, strict=True):
            propagate.set_global_textmap(side[0])
            costs.append(cost(call))
    propagate.set_global_textmap(before)
    return statistics.median(found[0]), statistics.median(found[1])


def check() -> None:
    """Hold that both sides bring the same across."""
    seen = []
    for propagator, _ in SIDES:
        found = propagator.extract(FULL)
        span = trace.get_current_span(found).get_span_context()
        seen.append((*span[:4], dict(span.trace_state), dict(baggage.get_all(found))))
    assert seen[0] == seen[1]


if __name__ == "__main__":
    check()
    for name, make in CASES.items():
        mine, theirs = measure(make)
        print(f"{name} | {mine:.0f} ns | {theirs:.0f} ns | 1/{theirs / mine:.1f} | 1/3")
