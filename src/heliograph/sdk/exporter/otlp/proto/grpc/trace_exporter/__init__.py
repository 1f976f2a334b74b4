"""Spans over OTLP/gRPC.

Spec: OTLP Exporter Configuration; OTLP/gRPC.
"""

from heliograph.sdk.exporter.otlp._base import OfSpans, OverGrpc


class OTLPSpanExporter(OfSpans, OverGrpc):
    """Sends spans over OTLP/gRPC. Arguments, variables and errors: `OverGrpc`."""
