"""OTLP as lines of JSON; for log records see `_log_exporter`.

Spec: OTLP File Exporter.
"""

from heliograph.sdk.exporter.otlp.json.file.metric_exporter import FileMetricExporter
from heliograph.sdk.exporter.otlp.json.file.trace_exporter import FileSpanExporter

__all__ = ["FileMetricExporter", "FileSpanExporter"]
