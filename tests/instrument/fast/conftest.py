"""What an instrumented library recorded, with providers that nobody else sees."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest

from heliograph.instrument.fast._patch import Patches, Settings
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import InMemoryMetricReader
from heliograph.sdk.trace import ReadableSpan, TracerProvider
from heliograph.sdk.trace.export import SimpleSpanProcessor
from heliograph.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

Points = list[tuple[dict[str, Any], Any]]


@dataclass
class Recorded:
    """Spans in the order of their end, and points by metric."""

    settings: Settings
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    applied: list[Patches] = field(default_factory=list)

    def instrument(self, library: str, module: Any, **settings: Any) -> None:
        """Instrument a library until the test ends."""
        own = import_module(f"heliograph.instrument.fast.{library}")
        self.applied.append(own.instrument(module, replace(self.settings, **settings)))

    def undo(self) -> None:
        while self.applied:
            self.applied.pop().undo()

    def spans(self) -> list[ReadableSpan]:
        found = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return found

    def points(self, metric: str) -> Points:
        data = self.reader.get_metrics_data()
        return [
            (dict(point.attributes or {}), point)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        ]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    found = Recorded(Settings(tracers, meters), exporter, reader)
    yield found
    found.undo()
    meters.shutdown()
    tracers.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


Call = Callable[..., tuple[str, bytes]]
