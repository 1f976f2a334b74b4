"""Spans over OTLP/gRPC.

Spec: OTLP Exporter Configuration; OTLP/gRPC.
"""

from heliograph.sdk.exporter.otlp._base import OverGrpc
from heliograph.sdk.exporter.otlp._spans import OfSpans


class OTLPSpanExporter(OfSpans, OverGrpc):
    """Sends spans over OTLP/gRPC. Arguments, variables and errors: `OverGrpc`."""
