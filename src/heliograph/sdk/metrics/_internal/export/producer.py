"""Metrics from elsewhere, and which metrics a reader wants at all."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Literal

from heliograph.sdk.metrics._internal.collected import Collected
from heliograph.sdk.metrics._internal.point import ScopeMetrics
from heliograph.sdk.resources import Resource
from heliograph.sdk.util.instrumentation import InstrumentationScope

_logger = logging.getLogger(__name__)

MetricKind = Literal["Sum", "Gauge", "Histogram", "ExponentialHistogram"]
"""What the points of a metric are."""


class MetricFilterResult(Enum):
    """What a filter says of a metric. Spec: Metrics SDK, TestMetric."""

    ACCEPT = "accept"
    """All of its points."""
    ACCEPT_PARTIAL = "accept_partial"
    """Those whose attributes pass."""
    DROP = "drop"
    """None of them."""


class MetricFilter(ABC):
    """Decides which metrics a reader collects. Spec: Metrics SDK, MetricFilter.

    Called at each collection; should be quick, and say the same each time.
    """

    @abstractmethod
    def test_metric(
        self, scope: InstrumentationScope, name: str, kind: MetricKind, unit: str
    ) -> MetricFilterResult:
        """Decide for a metric."""

    def test_attributes(
        self,
        scope: InstrumentationScope,
        name: str,
        kind: MetricKind,
        unit: str,
        attributes: Mapping[str, Any],
    ) -> bool:
        """Return whether to keep a point; asked for metrics that are accepted in part."""
        return True


class MetricProducer(ABC):
    """Gives readers metrics that were not measured through the API: those of another library, or of
    the operating system. Hand it to a reader as one of its ``metric_producers``.

    Spec: Metrics SDK, MetricProducer.
    """

    @abstractmethod
    def produce(
        self, metric_filter: MetricFilter | None = None, timeout_millis: float = 10_000
    ) -> Iterable[ScopeMetrics]:
        """Return what there is now, in scopes that say whose it is; called at each collection.

        The filter is applied to what is returned; who applies it before has less to do. What is
        raised is logged, and the collection goes on without this producer.
        """


def gather(
    collected: Collected | None,
    resource: Resource,
    producers: Sequence[MetricProducer],
    metric_filter: MetricFilter | None,
    deadline: float,
) -> Collected | None:
    """Return what was collected and what producers add to it, as far as the filter lets it pass;
    None when that is nothing. ``deadline`` is on the scale of ``time.monotonic()``."""
    scopes: list[Any] = [] if collected is None else [*collected.resource_metrics[0].scope_metrics]
    error = ""
    for producer in producers:
        left = max(0.0, deadline - time.monotonic()) * 1e3
        try:
            scopes += producer.produce(metric_filter, timeout_millis=left)
        except Exception as raised:
            error = type(raised).__qualname__
            _logger.exception("%s produced no metrics.", type(producer).__name__)
    if metric_filter is not None:
        scopes = [_passing(scope, metric_filter) for scope in scopes]
    scopes = [scope for scope in scopes if scope.metrics]
    if not scopes:
        return None
    return Collected.of(scopes, resource, error)


def _passing(scope: ScopeMetrics, wanted: MetricFilter) -> ScopeMetrics:
    return replace(scope, metrics=list(_metrics(scope, wanted)))


def _metrics(scope: ScopeMetrics, wanted: MetricFilter) -> Iterator[Any]:
    for metric in scope.metrics:
        kind: Any = type(metric.data).__name__
        about = (scope.scope, metric.name, kind, metric.unit or "")
        verdict = wanted.test_metric(*about)
        if verdict is MetricFilterResult.ACCEPT:
            yield metric
        elif verdict is MetricFilterResult.ACCEPT_PARTIAL:
            points: Any = [
                point
                for point in metric.data.data_points
                if wanted.test_attributes(*about, point.attributes or {})
            ]
            if points:
                yield replace(metric, data=replace(metric.data, data_points=points))
