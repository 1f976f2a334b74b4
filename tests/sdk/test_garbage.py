"""Cycles through a span are collected, whatever holds them together."""

import gc
import weakref

import pytest
from opentelemetry import trace

from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler


class Holder:
    """Holds a span that holds it."""


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF])
@pytest.mark.parametrize("ended", [False, True])
def test_a_cycle_through_extra_attributes_is_collected(sampler: Sampler, ended: bool) -> None:
    tracer = TracerProvider(sampler=sampler, shutdown_on_exit=False).get_tracer("garbage")
    span = tracer.start_span("span", context=trace.set_span_in_context(tracer.start_span("parent")))
    told: list[str] = []
    holder = Holder()
    holder.span = span  # type: ignore[attr-defined]
    span.holder = holder  # type: ignore[attr-defined]
    span.itself = span  # type: ignore[attr-defined]
    weakref.finalize(span, told.append, "span")
    weakref.finalize(holder, told.append, "holder")
    if ended:
        span.end()
    del span, holder
    gc.collect()
    assert sorted(told) == ["holder", "span"]
