"""Spans over OTLP/HTTP.

Spec: OTLP Exporter Configuration; OTLP/HTTP.
"""

from heliograph.sdk.exporter.otlp._base import OfSpans, OverHttp


class OTLPSpanExporter(OfSpans, OverHttp):
    """Sends spans over OTLP/HTTP. Arguments, variables and errors: `OverHttp`."""
