"""Log records over OTLP/HTTP.

Spec: OTLP Exporter Configuration; OTLP/HTTP.
"""

from heliograph.sdk.exporter.otlp._base import OfLogs, OverHttp


class OTLPLogExporter(OfLogs, OverHttp):
    """Sends log records over OTLP/HTTP. Arguments, variables and errors: `OverHttp`."""
