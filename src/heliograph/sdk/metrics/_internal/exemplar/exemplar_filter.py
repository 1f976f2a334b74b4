"""Which measurements may become exemplars.

Spec: Metrics SDK, ExemplarFilter.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.util.types import Attributes

from heliograph.sdk import _variables as variables

_logger = logging.getLogger(__name__)


class ExemplarFilter(ABC):
    """Decides which measurements may become exemplars."""

    @abstractmethod
    def should_sample(
        self, value: float, time_unix_nano: int, attributes: Attributes, context: Context
    ) -> bool:
        """Return whether a measurement is offered; called for each, so be quick."""


class AlwaysOnExemplarFilter(ExemplarFilter):
    """Offer all measurements."""

    def should_sample(
        self, value: float, time_unix_nano: int, attributes: Attributes, context: Context
    ) -> bool:
        return True


class AlwaysOffExemplarFilter(ExemplarFilter):
    """Offer none."""

    def should_sample(
        self, value: float, time_unix_nano: int, attributes: Attributes, context: Context
    ) -> bool:
        return False


class TraceBasedExemplarFilter(ExemplarFilter):
    """Offer those made inside a sampled span."""

    def should_sample(
        self, value: float, time_unix_nano: int, attributes: Attributes, context: Context
    ) -> bool:
        return trace.get_current_span(context).get_span_context().trace_flags.sampled


_NATIVE: dict[str, str] = {
    "TraceBasedExemplarFilter": "trace_based",
    "AlwaysOnExemplarFilter": "always_on",
    "AlwaysOffExemplarFilter": "always_off",
}


def native_filter(filter: ExemplarFilter | None) -> str | Callable[..., bool]:
    """Return what the core takes for a filter; None stands for OTEL_METRICS_EXEMPLAR_FILTER."""
    if filter is None:
        return variables.choice("OTEL_METRICS_EXEMPLAR_FILTER", _NATIVE.values(), "trace_based")
    # The official SDK's own filters are as good as ours, and quicker in the core.
    kind = type(filter)
    if kind.__module__.startswith(("heliograph.sdk.", "opentelemetry.sdk.")):
        return _NATIVE.get(kind.__name__, filter.should_sample)
    return filter.should_sample
