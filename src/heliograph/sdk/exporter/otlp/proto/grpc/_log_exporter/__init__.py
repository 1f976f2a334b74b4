"""Log records over OTLP/gRPC.

Spec: OTLP Exporter Configuration; OTLP/gRPC.
"""

from heliograph.sdk.exporter.otlp._base import OverGrpc
from heliograph.sdk.exporter.otlp._logs import OfLogs


class OTLPLogExporter(OfLogs, OverGrpc):
    """Sends log records over OTLP/gRPC. Arguments, variables and errors: `OverGrpc`."""
