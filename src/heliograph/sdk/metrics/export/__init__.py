"""Readers, exporters, and what goes between them."""

from heliograph.sdk._text import metrics_text
from heliograph.sdk.metrics._internal.aggregation import AggregationTemporality
from heliograph.sdk.metrics._internal.export import (
    CardinalityLimits,
    ConsoleMetricExporter,
    InMemoryMetricReader,
    InstrumentCardinalityKey,
    ManualReader,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    PeriodicExportingMetricReader,
)
from heliograph.sdk.metrics._internal.point import (
    Buckets,
    DataPointT,
    DataT,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)

__all__ = [
    "AggregationTemporality",
    "Buckets",
    "CardinalityLimits",
    "ConsoleMetricExporter",
    "DataPointT",
    "DataT",
    "ExponentialHistogram",
    "ExponentialHistogramDataPoint",
    "Gauge",
    "Histogram",
    "HistogramDataPoint",
    "InMemoryMetricReader",
    "InstrumentCardinalityKey",
    "ManualReader",
    "Metric",
    "MetricExportResult",
    "MetricExporter",
    "MetricReader",
    "MetricsData",
    "NumberDataPoint",
    "PeriodicExportingMetricReader",
    "ResourceMetrics",
    "ScopeMetrics",
    "Sum",
    "metrics_text",
]
