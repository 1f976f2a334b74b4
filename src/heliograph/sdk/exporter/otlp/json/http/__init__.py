"""OTLP over HTTP as JSON; for log records see `_log_exporter`."""

from heliograph.sdk.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter
from heliograph.sdk.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter

__all__ = ["OTLPMetricExporter", "OTLPSpanExporter"]
