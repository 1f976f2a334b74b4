"""Where this SDK and the official one differ on purpose, in generated programs.

The same program runs on both. The official SDK is shown what the specification makes of a value
that it would lose; what it leaves out of a span is left out of ours before the two are compared.
Differences of metrics are held one by one in `metrics.test_metrics_differences`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def as_specified(value: Any) -> Any:
    """Return what stands for a value on the wire, where the official exporter drops the attribute.

    - An integer beyond 64 bits is decimal text (Common: AnyValue, mapping of arbitrary data).
    - A lone surrogate is a question mark: text is UTF-8, and only the character is lost.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(int(value))
    if isinstance(value, str):
        text = str.__str__(value)
        whole = text.encode("utf-8", "replace").decode()
        return value if whole == text else whole
    if type(value) is list:
        return [as_specified(one) for one in value]
    if type(value) is tuple:
        return tuple(as_specified(one) for one in value)
    if type(value) is dict:
        return {as_specified(key): as_specified(one) for key, one in value.items()}
    return value


def without_what_only_we_tell(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Drop the trace flags in the low bits of flags, and the trace state of links.

    Spec: the comments of ``Span.flags``, ``Link.flags`` and ``Link.trace_state`` in OTLP.
    """
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.flags &= 0x300
                for link in span.links:
                    link.flags &= 0x300
                    link.trace_state = ""
    return request


def as_one_series(attributes: Mapping[str, Any] | None) -> Any:
    """Return attributes of a measurement without subclasses of str.

    Spec: Metrics data model, a stream has one point for a set of attributes; the official SDK tells
    a subclass from str, and sends the same set twice.
    """
    return None if attributes is None else _plain(as_specified(dict(attributes)))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if type(value) is list:
        return [_plain(one) for one in value]
    if type(value) is dict:
        return {_plain(key): _plain(one) for key, one in value.items()}
    return value
