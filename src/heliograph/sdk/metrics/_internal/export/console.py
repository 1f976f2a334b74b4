"""Metrics on the console.

Spec: Metrics Exporters, Standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from os import linesep
from typing import IO, Any

from heliograph.sdk.metrics._internal.aggregation import Aggregation, AggregationTemporality
from heliograph.sdk.metrics._internal.export.exporter import MetricExporter, MetricExportResult
from heliograph.sdk.metrics._internal.point import MetricsData


def _json(data: MetricsData) -> str:
    return data.to_json() + linesep


class ConsoleMetricExporter(MetricExporter):
    """Prints metrics.

    Args:
        out: standard output when not given.
        formatter: makes the text of what was collected; JSON when not given, `metrics_text` is made
            for people.
        preferred_temporality, preferred_aggregation: by class of instrument.
    """

    def __init__(
        self,
        out: IO[str] | None = None,
        formatter: Callable[[MetricsData], str] = _json,
        preferred_temporality: Mapping[type, AggregationTemporality] | None = None,
        preferred_aggregation: Mapping[type, Aggregation] | None = None,
    ) -> None:
        super().__init__(preferred_temporality, preferred_aggregation)
        self.out = out or sys.stdout
        self.formatter = formatter

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        self.out.write(self.formatter(metrics_data))
        self.out.flush()
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass
