"""What takes metrics out of the program.

Spec: Metrics SDK, MetricExporter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from typing import Any

from heliograph.sdk.metrics._internal.aggregation import Aggregation, AggregationTemporality
from heliograph.sdk.metrics._internal.point import MetricsData


class MetricExportResult(Enum):
    """What became of an export."""

    SUCCESS = 0
    FAILURE = 1


class MetricExporter(ABC):
    """Sends metrics somewhere.

    Args:
        preferred_temporality: by class of instrument; cumulative for those not in it.
        preferred_aggregation: by class of instrument; the default for those not in it.
    """

    def __init__(
        self,
        preferred_temporality: Mapping[type, AggregationTemporality] | None = None,
        preferred_aggregation: Mapping[type, Aggregation] | None = None,
    ) -> None:
        self._preferred_temporality = preferred_temporality
        self._preferred_aggregation = preferred_aggregation

    @abstractmethod
    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send what a reader collected. Never called twice at a time."""

    @abstractmethod
    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what is held back; return whether all of it was."""

    @abstractmethod
    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Give back what is held open. An export that is under way ends soon."""
