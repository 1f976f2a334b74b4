"""Log records over OTLP/HTTP with JSON.

Spec: OTLP Exporter Configuration; OTLP/HTTP, JSON Protobuf Encoding.
"""

from heliograph.sdk.exporter.otlp._base import OverHttp
from heliograph.sdk.exporter.otlp._logs import OfLogs


class OTLPLogExporter(OfLogs, OverHttp):
    """Sends log records over OTLP/HTTP with JSON. Arguments, variables and errors: `OverHttp`."""

    _is_json = True
