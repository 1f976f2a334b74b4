"""A collection as OTLP bytes, in the official SDK's shape for those who look into it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from heliograph._core import Batch, encode_metrics, metrics_of
from heliograph.sdk.metrics._internal import point

if TYPE_CHECKING:
    from heliograph.sdk.resources import Resource
    from heliograph.sdk.util.instrumentation import InstrumentationScope


class Collected(point.MetricsData):
    """What a reader collected: the bytes, and objects made from them when somebody asks.

    ``batch`` is the export request, ready to be sent.
    """

    def __init__(
        self, batch: Batch, resource: Resource, scopes: Sequence[InstrumentationScope]
    ) -> None:
        # The dataclass is frozen, and its one field is made on demand.
        vars(self).update(batch=batch, _resource=resource, _scopes=tuple(scopes), _made=None)

    batch: Batch
    _resource: Resource
    _scopes: tuple[InstrumentationScope, ...]
    _made: Sequence[point.ResourceMetrics] | None

    error: str = ""
    """The ``error.type`` of what failed while the rest was collected."""

    @classmethod
    def of(
        cls, scopes: Sequence[point.ScopeMetrics], resource: Resource, error: str = ""
    ) -> Collected:
        """Return what these objects are."""
        data = point.MetricsData([point.ResourceMetrics(resource, scopes, resource.schema_url)])
        made = cls(encode_metrics(data), resource, [scope.scope for scope in scopes])
        vars(made).update(_made=data.resource_metrics, error=error)
        return made

    @property
    def resource_metrics(self) -> Sequence[point.ResourceMetrics]:
        if self._made is None:
            vars(self)["_made"] = self._make(point)
        assert self._made is not None
        return self._made

    def _make(self, shapes: Any) -> list[Any]:
        metrics = metrics_of(self.batch, shapes)
        scopes = [
            shapes.ScopeMetrics(scope, found, scope.schema_url)
            for scope, found in zip(self._scopes, metrics, strict=True)
        ]
        return [shapes.ResourceMetrics(self._resource, scopes, self._resource.schema_url)]

    def plain(self) -> point.MetricsData:
        """Return an ordinary ``MetricsData``."""
        return point.MetricsData(resource_metrics=self.resource_metrics)

    def shaped_for(self, consumer: object) -> Any:
        """Return what an exporter takes: of the classes that it tests for, when it is built on an
        installed ``opentelemetry-sdk``."""
        shapes = _official_shapes(type(consumer))
        if shapes is None:
            return self
        return shapes.MetricsData(self._make(shapes))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, point.MetricsData):
            return NotImplemented
        return list(self.resource_metrics) == list(other.resource_metrics)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"MetricsData(resource_metrics={self.resource_metrics!r})"


def _official_shapes(consumer: type) -> Any:
    """Return the official SDK's classes of points, for a class that derives from its classes."""
    export: Any = sys.modules.get("opentelemetry.sdk.metrics.export")
    if export is None or export.MetricsData is point.MetricsData:
        return None
    if not issubclass(consumer, export.MetricExporter | export.MetricReader):
        return None
    exemplar = sys.modules["opentelemetry.sdk.metrics"].Exemplar
    return SimpleNamespace(**vars(export), Exemplar=exemplar)
