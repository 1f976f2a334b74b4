"""Spans over OTLP/HTTP with JSON.

Spec: OTLP Exporter Configuration; OTLP/HTTP, JSON Protobuf Encoding.
"""

from heliograph.sdk.exporter.otlp._base import OverHttp
from heliograph.sdk.exporter.otlp._spans import OfSpans


class OTLPSpanExporter(OfSpans, OverHttp):
    """Sends spans over OTLP/HTTP with JSON. Arguments, variables and errors: `OverHttp`."""

    _is_json = True
