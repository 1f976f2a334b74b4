"""Traces: providers, tracers, spans, and what is told of them.

Spec: Tracing SDK.
"""

from typing import Any

from opentelemetry import trace as _api
from opentelemetry.trace import SpanContext as SpanContext  # others import it from here
from opentelemetry.trace import Status as Status
from opentelemetry.trace import StatusCode as StatusCode

from heliograph._core import Span, SpanBase, UnsampledSpan
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace._constructed import construct
from heliograph.sdk.trace._limits import SpanLimits
from heliograph.sdk.trace._processors import (
    ConcurrentMultiSpanProcessor,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
)
from heliograph.sdk.trace._provider import (
    RuleBasedTracerConfigurator,
    Tracer,
    TracerConfig,
    TracerProvider,
)
from heliograph.sdk.trace._readable import Event, EventBase, ReadableSpan, SpanView

_Span = Span
_TracerConfig = TracerConfig
_RuleBasedTracerConfigurator = RuleBasedTracerConfigurator

_api.Span.register(SpanBase)
_api.NonRecordingSpan.register(UnsampledSpan)
ReadableSpan.register(Span)


def _read(name: str) -> property:
    documented = getattr(ReadableSpan, name, None)
    return property(lambda span: getattr(SpanView(span), name), doc=documented.__doc__)


def _to_json(span: Span, indent: int | None = 4) -> str:
    """Return the span as it is at the moment, as JSON."""
    return SpanView(span).to_json(indent)


def _complete() -> None:
    """Give running spans what `ReadableSpan` has, read through a view of the moment."""
    fields = [name for name in ReadableSpan.__annotations__ if name.startswith("_")]
    public = [name for name, found in vars(ReadableSpan).items() if isinstance(found, property)]
    for name in [*public, *fields]:
        if not hasattr(Span, name):
            setattr(Span, name, _read(name))
    methods: dict[str, Any] = {
        "__new__": construct,
        "to_json": _to_json,
        "_readable_span": SpanView,
    }
    for name, method in methods.items():
        setattr(Span, name, method)


_complete()

__all__ = [
    "ConcurrentMultiSpanProcessor",
    "Event",
    "EventBase",
    "ReadableSpan",
    "Resource",
    "RuleBasedTracerConfigurator",
    "Span",
    "SpanLimits",
    "SpanProcessor",
    "SynchronousMultiSpanProcessor",
    "Tracer",
    "TracerConfig",
    "TracerProvider",
]
