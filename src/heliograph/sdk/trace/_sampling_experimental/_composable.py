"""Samplers that say what they intend, and can be put into each other.

Spec: Tracing SDK, ComposableSampler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import SpanKind, TraceState, get_current_span

from heliograph.sdk.trace._tracestate import (
    NEVER,
    Sampling,
    randomness_of,
    threshold_of,
    threshold_text,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes

INVALID_THRESHOLD = -1
"""Stands for spans that are not sampled."""


def _unchanged(state: TraceState) -> TraceState:
    """Return the trace state as it is."""
    return state


@dataclass(frozen=True)
class SamplingIntent:
    """What a sampler wants of a span. Spec: Tracing SDK, SamplingIntent."""

    threshold: int
    """Randomness from which on it is sampled, below 2**56; -1 for never."""
    threshold_reliable: bool = True
    """Whether counts can be estimated from the threshold."""
    attributes: Attributes = None
    """What a sampled span gets besides its own attributes."""
    update_trace_state: Callable[[TraceState], TraceState] = _unchanged
    """Changes the trace state of the span, sampled or not."""


class ComposableSampler(Protocol):
    """A sampler for `composite_sampler`, or for others of its kind."""

    def sampling_intent(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None = None,
    ) -> SamplingIntent:
        """Return what is wanted of a span; ``trace_state`` is its parent's."""
        ...

    def get_description(self) -> str:
        """Return name and configuration."""
        ...


NONE = SamplingIntent(INVALID_THRESHOLD, threshold_reliable=False)


class Fixed:
    """The same intent for every span."""

    def __init__(self, intent: SamplingIntent, description: str) -> None:
        self._intent = intent
        self._description = description

    def sampling_intent(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None = None,
    ) -> SamplingIntent:
        return self._intent

    def get_description(self) -> str:
        return self._description


_ON = Fixed(SamplingIntent(0), "ComposableAlwaysOn")
_OFF = Fixed(NONE, "ComposableAlwaysOff")


class ParentThreshold:
    """What the parent says; another sampler for spans without one."""

    def __init__(self, root_sampler: ComposableSampler) -> None:
        self._root = root_sampler

    def sampling_intent(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None = None,
    ) -> SamplingIntent:
        parent = get_current_span(parent_ctx).get_span_context()
        if not parent.is_valid:
            return self._root.sampling_intent(
                parent_ctx, name, span_kind, attributes, links, trace_state
            )
        said = Sampling.read(trace_state)
        randomness = said.randomness
        if randomness is None:
            randomness = randomness_of(parent.trace_id)
        sampled = parent.trace_flags.sampled
        if said.threshold is not None and (randomness >= said.threshold) is sampled:
            return SamplingIntent(said.threshold)
        return SamplingIntent(0, threshold_reliable=False) if sampled else NONE

    def get_description(self) -> str:
        return f"ComposableParentThreshold{{root={self._root.get_description()}}}"


class Annotating:
    """What another sampler says, and attributes for the spans that are sampled."""

    def __init__(self, delegate: ComposableSampler, attributes: Mapping[str, Any]) -> None:
        self._delegate = delegate
        self._attributes = dict(attributes)

    def sampling_intent(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None = None,
    ) -> SamplingIntent:
        found = self._delegate.sampling_intent(
            parent_ctx, name, span_kind, attributes, links, trace_state
        )
        return SamplingIntent(
            found.threshold,
            found.threshold_reliable,
            {**(found.attributes or {}), **self._attributes},
            found.update_trace_state,
        )

    def get_description(self) -> str:
        return f"ComposableAnnotating{{{self._delegate.get_description()},{self._attributes}}}"


def composable_always_on() -> ComposableSampler:
    """Return the sampler of every span."""
    return _ON


def composable_always_off() -> ComposableSampler:
    """Return the sampler of no span."""
    return _OFF


def composable_traceid_ratio_based(ratio: float) -> ComposableSampler:
    """Return a sampler of a share of all traces, from 0 to 1; the parent does not matter."""
    threshold = threshold_of(ratio)
    never = threshold == NEVER
    said = "max" if never else threshold_text(threshold)
    return Fixed(
        NONE if never else SamplingIntent(threshold),
        f"ComposableTraceIDRatioBased{{threshold={said}, ratio={ratio}}}",
    )


def composable_parent_threshold(root_sampler: ComposableSampler) -> ComposableSampler:
    """Return a sampler that does as the parent, and asks ``root_sampler`` where there is none.

    A threshold that contradicts the parent's sampled flag is not passed on.
    """
    return ParentThreshold(root_sampler)


def composable_annotating(
    delegate: ComposableSampler, attributes: Mapping[str, Any]
) -> ComposableSampler:
    """Return ``delegate`` with attributes for the spans that it samples."""
    return Annotating(delegate, attributes)
