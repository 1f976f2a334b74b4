"""Spans over OTLP/HTTP.

Spec: OTLP Exporter Configuration; OTLP/HTTP.
"""

from heliograph.sdk.exporter.otlp._base import OverHttp
from heliograph.sdk.exporter.otlp._spans import OfSpans


class OTLPSpanExporter(OfSpans, OverHttp):
    """Sends spans over OTLP/HTTP. Arguments, variables and errors: `OverHttp`."""
