"""Log records over OTLP/HTTP with JSON.

Spec: OTLP Exporter Configuration; OTLP/HTTP, JSON Protobuf Encoding.
"""

from heliograph.sdk.exporter.otlp._base import OfLogs, OverHttp


class OTLPLogExporter(OfLogs, OverHttp):
    """Sends log records over OTLP/HTTP with JSON. Arguments, variables and errors: `OverHttp`."""

    _is_json = True
