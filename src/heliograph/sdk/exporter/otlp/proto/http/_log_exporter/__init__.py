"""Log records over OTLP/HTTP.

Spec: OTLP Exporter Configuration; OTLP/HTTP.
"""

from heliograph.sdk.exporter.otlp._base import OverHttp
from heliograph.sdk.exporter.otlp._logs import OfLogs
from heliograph.sdk.exporter.otlp._settings import TIMEOUT
from heliograph.sdk.exporter.otlp.proto.http import Compression

# What packages for the official SDK import from here.
DEFAULT_COMPRESSION = Compression.NoCompression
DEFAULT_ENDPOINT = "http://localhost:4318/"
DEFAULT_LOGS_EXPORT_PATH = "v1/logs"
DEFAULT_TIMEOUT = TIMEOUT


class OTLPLogExporter(OfLogs, OverHttp):
    """Sends log records over OTLP/HTTP. Arguments, variables and errors: `OverHttp`."""
