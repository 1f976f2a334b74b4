"""From an intent to a decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, TraceState, get_current_span

from heliograph.sdk.trace._sampling_experimental._composable import ComposableSampler
from heliograph.sdk.trace._tracestate import NEVER, Sampling, randomness_of
from heliograph.sdk.trace.sampling import Decision, Sampler, SamplingResult

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes


class CompositeSampler(Sampler):
    """See `composite_sampler`."""

    def __init__(self, delegate: ComposableSampler) -> None:
        self._delegate = delegate

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if trace_state is None:
            parent = get_current_span(parent_context).get_span_context()
            trace_state = parent.trace_state if parent.is_valid else None
        said = Sampling.read(trace_state)
        intent = self._delegate.sampling_intent(
            parent_context, name, kind, attributes, links, trace_state
        )
        randomness = said.randomness if said.randomness is not None else randomness_of(trace_id)
        sampled = 0 <= intent.threshold < NEVER and randomness >= intent.threshold
        said.threshold = intent.threshold if sampled and intent.threshold_reliable else None
        state = intent.update_trace_state(TraceState() if trace_state is None else trace_state)
        added = {**(attributes or {}), **(intent.attributes or {})}
        return SamplingResult(
            Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP,
            added if sampled else None,
            said.write(state),
        )

    def get_description(self) -> str:
        return self._delegate.get_description()


def composite_sampler(delegate: ComposableSampler) -> Sampler:
    """Return a sampler that decides as ``delegate`` intends, and keeps the trace state.

    The randomness is the explicit one, or the low 56 bits of the trace id. Spec: Tracing SDK,
    CompositeSampler.
    """
    return CompositeSampler(delegate)
