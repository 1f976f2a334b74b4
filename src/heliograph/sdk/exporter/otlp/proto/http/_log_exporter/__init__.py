"""Log records over OTLP/HTTP.

Spec: OTLP Exporter Configuration; OTLP/HTTP.
"""

from heliograph.sdk.exporter.otlp._base import OverHttp
from heliograph.sdk.exporter.otlp._logs import OfLogs


class OTLPLogExporter(OfLogs, OverHttp):
    """Sends log records over OTLP/HTTP. Arguments, variables and errors: `OverHttp`."""
