"""What the OTLP exporters of metrics have in common.

Spec: OpenTelemetry Protocol Exporter; Metrics Exporters, OTLP.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics as api

from heliograph._core import Batch, encode_metrics
from heliograph.sdk import _variables as variables
from heliograph.sdk.exporter.otlp._base import OtlpExporter
from heliograph.sdk.metrics._internal.collected import Collected
from heliograph.sdk.metrics._internal.export.exporter import MetricExporter, MetricExportResult
from heliograph.sdk.metrics._internal.point import MetricsData
from heliograph.sdk.metrics.export import AggregationTemporality
from heliograph.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)

_logger = logging.getLogger(__name__)

_DELTA: dict[str, tuple[type, ...]] = {
    "cumulative": (),
    "delta": (api.Counter, api.ObservableCounter, api.Histogram),
    "lowmemory": (api.Counter, api.Histogram),
}
_HISTOGRAMS: dict[str, type[Aggregation]] = {
    "explicit_bucket_histogram": ExplicitBucketHistogramAggregation,
    "base2_exponential_bucket_histogram": ExponentialBucketHistogramAggregation,
}


def temporality(preferred: Mapping[type, Any] | None) -> dict[type, Any]:
    """Return what OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE says, unless overridden."""
    name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    wanted = variables.choice(name, _DELTA, "cumulative")
    table: dict[type, Any] = dict.fromkeys(_DELTA[wanted], AggregationTemporality.DELTA)
    return table | dict(preferred or {})


def aggregation(preferred: Mapping[type, Any] | None) -> dict[type, Any]:
    """Return what OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION says, unless
    overridden."""
    name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    wanted = variables.choice(name, _HISTOGRAMS, "explicit_bucket_histogram")
    return {api.Histogram: _HISTOGRAMS[wanted](), **(preferred or {})}


class OfMetrics(OtlpExporter, MetricExporter):
    """Exports what a reader collected, the bytes as they are."""

    _signal = "metrics"
    _max_export_batch_size: int | None = None

    def _prefer(
        self,
        preferred_temporality: Mapping[type, Any] | None,
        preferred_aggregation: Mapping[type, Any] | None,
        max_export_batch_size: int | None = None,
    ) -> None:
        MetricExporter.__init__(
            self, temporality(preferred_temporality), aggregation(preferred_aggregation)
        )
        self._max_export_batch_size = max_export_batch_size

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send within the time, retries included."""
        batches = self._batches(metrics_data)
        good = all(list(self._sender.send_all(iter(batches), timeout_millis / 1e3)))
        return MetricExportResult.SUCCESS if good else MetricExportResult.FAILURE

    def _batches(self, metrics_data: MetricsData) -> list[Batch]:
        batch = batch_of(metrics_data)
        if self._max_export_batch_size is None:
            return [batch]
        return batch.split(items=self._max_export_batch_size)


def batch_of(metrics_data: MetricsData) -> Batch:
    """Return the export request: the bytes that a reader of ours made, or those of any objects."""
    if isinstance(metrics_data, Collected):
        return metrics_data.batch
    return encode_metrics(metrics_data)
