"""What collects metrics.

Spec: Metrics SDK, MetricReader.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from heliograph.sdk._self_metrics import (
    COLLECTION,
    UNOBSERVED,
    Component,
    is_enabled,
    observe,
)
from heliograph.sdk.metrics._internal.aggregation import (
    Aggregation,
    AggregationTemporality,
    DefaultAggregation,
)
from heliograph.sdk.metrics._internal.collected import Collected
from heliograph.sdk.metrics._internal.export.producer import MetricFilter, MetricProducer
from heliograph.sdk.metrics._internal.instrument import KINDS, kind_of
from heliograph.sdk.metrics._internal.point import MetricsData
from heliograph.sdk.metrics._internal.streams import DEFAULT_LIMIT
from heliograph.sdk.metrics._internal.view import check_limit

_logger = logging.getLogger(__name__)

InstrumentCardinalityKey: TypeAlias = type
CardinalityLimits: TypeAlias = Mapping[InstrumentCardinalityKey, int]


class MetricReader(ABC):
    """Collects what was measured, and hands it to ``_receive_metrics``.

    Args:
        preferred_temporality: by class of instrument; cumulative for those not in it.
        preferred_aggregation: by class of instrument; the default for those not in it. A view that
            names an aggregation has its way.
        cardinality_limits: by class of instrument, the most attribute sets of a stream; 2000 for
            those not in it. A view that names a limit has its way. Attribute sets beyond the limit
            share one series, with the attribute ``otel.metric.overflow``.
        metric_producers: asked for metrics from elsewhere at each collection.
        metric_filter: which metrics and points are collected; all when not given. With either the
            metrics are made into objects at each collection.

    Raises: ValueError when a table has what does not belong there.
    Spec: Metrics SDK, MetricReader.
    """

    own: Component = UNOBSERVED
    """Takes how long collections took."""
    component_type: ClassVar[str | None] = None
    """What metrics of the SDK about itself call it; its class's name when not given."""

    def __init__(
        self,
        preferred_temporality: Mapping[type, AggregationTemporality] | None = None,
        preferred_aggregation: Mapping[type, Aggregation] | None = None,
        cardinality_limits: CardinalityLimits | None = None,
        *,
        metric_producers: Sequence[MetricProducer] = (),
        metric_filter: MetricFilter | None = None,
        **_official: Any,
    ) -> None:
        self._collect: Callable[..., Any] | None = None
        self._metric_producers = tuple(metric_producers)
        self._metric_filter = metric_filter
        for temporality in (preferred_temporality or {}).values():
            if temporality not in (1, 2):
                raise ValueError(f"Invalid temporality value found {temporality}")
        for limit in (cardinality_limits or {}).values():
            check_limit("a cardinality limit", limit)
        cumulative = AggregationTemporality.CUMULATIVE
        self._preferred_temporality = preferred_temporality
        self._instrument_class_temporality = _table(cumulative, preferred_temporality)
        self._instrument_class_aggregation = _table(DefaultAggregation(), preferred_aggregation)
        self._instrument_class_cardinality_limit = _table(DEFAULT_LIMIT, cardinality_limits)

    def collect(self, timeout_millis: float = 10_000) -> None:
        """Collect now.

        Raises: MetricsTimeoutError when callbacks of instruments took too long.
        """
        if self._collect is None:
            _logger.warning("A MetricReader collects when it belongs to a MeterProvider.")
            return
        began, error = time.monotonic(), {}
        try:
            data = self._collect(self, timeout_millis=timeout_millis)
            if isinstance(data, Collected) and data.error:
                error = {"error.type": data.error}
        except Exception as raised:
            error = {"error.type": type(raised).__qualname__}
            raise
        finally:
            self.own.took(COLLECTION, time.monotonic() - began, error)
        if isinstance(data, Collected):
            data = data.shaped_for(self)
        if data is not None:
            self._receive_metrics(data, timeout_millis=timeout_millis)

    def _set_collect_callback(self, func: Callable[..., Any] | None) -> None:
        self._collect = func

    def _set_meter_provider(self, meter_provider: Any) -> None:
        """Report to this provider how long collections take, if the SDK reports on itself."""
        if is_enabled():
            kind = self.component_type or type(self).__qualname__
            self.own = observe(None, meter_provider, kind)

    @abstractmethod
    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        """Take what was collected."""

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect, and see it through; return whether that was done in time."""
        self.collect(timeout_millis=timeout_millis)
        return True

    def _after_fork(self) -> None:  # noqa: B027 - most have nothing to do
        """In the child: nothing is locked, and the parent's other threads are not there."""

    def _begin(self) -> None:  # noqa: B027 - most have nothing to do
        """In the child, before it measures something; maybe twice."""

    @abstractmethod
    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Collect a last time where that makes sense, and end."""


def _table(default: Any, preferred: Mapping[type, Any] | None) -> dict[type, Any]:
    table: dict[type, Any] = dict.fromkeys(KINDS.values(), default)
    for instrument, value in (preferred or {}).items():
        table[KINDS[kind_of(instrument)]] = value
    return table


class InMemoryMetricReader(MetricReader):
    """Collects when asked, and returns it. For tests."""

    def __init__(
        self,
        preferred_temporality: Mapping[type, AggregationTemporality] | None = None,
        preferred_aggregation: Mapping[type, Aggregation] | None = None,
        cardinality_limits: CardinalityLimits | None = None,
        *,
        metric_producers: Sequence[MetricProducer] = (),
        metric_filter: MetricFilter | None = None,
    ) -> None:
        super().__init__(
            preferred_temporality,
            preferred_aggregation,
            cardinality_limits,
            metric_producers=metric_producers,
            metric_filter=metric_filter,
        )
        self._lock = threading.RLock()
        self._received: MetricsData | None = None

    def get_metrics_data(self) -> MetricsData | None:
        """Return what there is now; None when there is nothing."""
        with self._lock:
            self.collect()
            data, self._received = self._received, None
        return data.plain() if isinstance(data, Collected) else data

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        with self._lock:
            self._received = metrics_data

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass


class ManualReader(MetricReader):
    """Collects when asked, as bytes: an OTLP ``ExportMetricsServiceRequest``."""

    def __init__(
        self,
        preferred_temporality: Mapping[type, AggregationTemporality] | None = None,
        preferred_aggregation: Mapping[type, Aggregation] | None = None,
        cardinality_limits: CardinalityLimits | None = None,
        *,
        metric_producers: Sequence[MetricProducer] = (),
        metric_filter: MetricFilter | None = None,
    ) -> None:
        super().__init__(
            preferred_temporality,
            preferred_aggregation,
            cardinality_limits,
            metric_producers=metric_producers,
            metric_filter=metric_filter,
        )
        self._lock = threading.RLock()
        self._received: bytes | None = None

    def read(self, timeout_millis: float = 10_000) -> bytes | None:
        """Return what there is now; None when there is nothing.

        Raises: MetricsTimeoutError when callbacks of instruments took too long.
        """
        with self._lock:
            self.collect(timeout_millis)
            data, self._received = self._received, None
        return data

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        assert isinstance(metrics_data, Collected)
        with self._lock:
            self._received = bytes(metrics_data.batch.wire())

    def _after_fork(self) -> None:
        self._lock = threading.RLock()

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass
