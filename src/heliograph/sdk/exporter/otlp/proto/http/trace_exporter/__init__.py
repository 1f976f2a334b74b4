"""Spans over OTLP/HTTP.

Spec: OTLP Exporter Configuration; OTLP/HTTP.
"""

from heliograph.sdk.exporter.otlp._base import OverHttp
from heliograph.sdk.exporter.otlp._settings import TIMEOUT
from heliograph.sdk.exporter.otlp._spans import OfSpans
from heliograph.sdk.exporter.otlp.proto.http import Compression

# What packages for the official SDK import from here.
DEFAULT_COMPRESSION = Compression.NoCompression
DEFAULT_ENDPOINT = "http://localhost:4318/"
DEFAULT_TRACES_EXPORT_PATH = "v1/traces"
DEFAULT_TIMEOUT = TIMEOUT


class OTLPSpanExporter(OfSpans, OverHttp):
    """Sends spans over OTLP/HTTP. Arguments, variables and errors: `OverHttp`."""
