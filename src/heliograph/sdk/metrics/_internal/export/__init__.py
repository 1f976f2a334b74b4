"""Readers and exporters of metrics."""

from heliograph.sdk.metrics._internal.export.console import ConsoleMetricExporter
from heliograph.sdk.metrics._internal.export.exporter import MetricExporter, MetricExportResult
from heliograph.sdk.metrics._internal.export.periodic import PeriodicExportingMetricReader
from heliograph.sdk.metrics._internal.export.producer import (
    MetricFilter,
    MetricFilterResult,
    MetricKind,
    MetricProducer,
)
from heliograph.sdk.metrics._internal.export.reader import (
    CardinalityLimits,
    InMemoryMetricReader,
    InstrumentCardinalityKey,
    ManualReader,
    MetricReader,
)

__all__ = [
    "CardinalityLimits",
    "ConsoleMetricExporter",
    "InMemoryMetricReader",
    "InstrumentCardinalityKey",
    "ManualReader",
    "MetricExportResult",
    "MetricExporter",
    "MetricFilter",
    "MetricFilterResult",
    "MetricKind",
    "MetricProducer",
    "MetricReader",
    "PeriodicExportingMetricReader",
]
