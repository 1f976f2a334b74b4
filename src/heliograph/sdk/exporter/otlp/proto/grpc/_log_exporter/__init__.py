"""Log records over OTLP/gRPC.

Spec: OTLP Exporter Configuration; OTLP/gRPC.
"""

from heliograph.sdk.exporter.otlp._base import OfLogs, OverGrpc


class OTLPLogExporter(OfLogs, OverGrpc):
    """Sends log records over OTLP/gRPC. Arguments, variables and errors: `OverGrpc`."""
