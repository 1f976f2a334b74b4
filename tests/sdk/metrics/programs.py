"""The same program run on this SDK and on the official one, its exports side by side."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

EPOCH_NS = 1_700_000_000_000_000_000
CLOCKS = (
    "instrument",
    "_view_instrument_match",
    "measurement_consumer",
    "metric_reader_storage",
)


def sdk(root: str) -> SimpleNamespace:
    """Return the modules of an SDK: ``opentelemetry.sdk`` or ``heliograph.sdk``."""
    return SimpleNamespace(
        root=root,
        metrics=importlib.import_module(f"{root}.metrics"),
        export=importlib.import_module(f"{root}.metrics.export"),
        view=importlib.import_module(f"{root}.metrics.view"),
        Resource=importlib.import_module(f"{root}.resources").Resource,
    )


OURS, OFFICIAL = sdk("heliograph.sdk"), sdk("opentelemetry.sdk")


@dataclass
class Clock:
    """The time of both SDKs, in nanoseconds."""

    now: int = EPOCH_NS
    stopped: list[Any] = field(default_factory=list)

    def advance(self, by: int) -> None:
        self.now += by
        for clock in self.stopped:
            clock.stop(self.now)


@contextmanager
def frozen() -> Iterator[Clock]:
    """Stop the official SDK's time; a provider of ours joins with ``stopped``."""
    clock = Clock()
    with ExitStack() as patches:
        for module in CLOCKS:
            name = f"opentelemetry.sdk.metrics._internal.{module}.time_ns"
            patches.enter_context(mock.patch(name, side_effect=lambda: clock.now))
        yield clock


class Side:
    """One SDK running a program.

    Args:
        views: make the views, given the SDK's modules.
        delta: kinds of instrument whose points are deltas.
    """

    def __init__(
        self,
        sdk: SimpleNamespace,
        clock: Clock,
        *,
        views: Callable[[SimpleNamespace], list[Any]] = lambda sdk: [],
        delta: frozenset[str] = frozenset(),
        limits: dict[str, int] | None = None,
        exemplars: str = "TraceBasedExemplarFilter",
    ) -> None:
        self.sdk = sdk
        temporality = {self.kind(kind): sdk.export.AggregationTemporality.DELTA for kind in delta}
        self.reader = sdk.export.InMemoryMetricReader(
            preferred_temporality=temporality,
            cardinality_limits={self.kind(k): limit for k, limit in (limits or {}).items()},
        )
        if sdk is OURS:
            self.reader = sdk.export.ManualReader(
                preferred_temporality=temporality,
                cardinality_limits={self.kind(k): limit for k, limit in (limits or {}).items()},
            )
        self.provider = sdk.metrics.MeterProvider(
            [self.reader],
            resource=sdk.Resource({"service.name": "shop"}),
            views=views(sdk),
            exemplar_filter=getattr(sdk.metrics, exemplars)(),
            shutdown_on_exit=False,
        )
        if sdk is OURS:
            self.provider._clock.stop(clock.now)
            clock.stopped.append(self.provider._clock)
        self.meter = self.provider.get_meter("tests", "1.0", "https://schema", {"scope": 1})
        self.instruments: dict[str, Any] = {}
        self.observed: dict[str, list[tuple[Any, Any]]] = {}

    def kind(self, name: str) -> type:
        kinds = self.sdk.metrics
        found: type = kinds._Gauge if name == "Gauge" else getattr(kinds, name)
        return found

    def instrument(self, kind: str, **settings: Any) -> Any:
        """Return the one instrument of a kind, made at its first use."""
        name = f"a_{kind}"
        if name not in self.instruments:
            make = getattr(
                self.meter,
                "create"
                + "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind),
            )
            if kind.startswith("Observable"):
                settings["callbacks"] = [lambda options: self._observations(kind)]
            self.instruments[name] = make(name, unit="By", description=f"one {kind}", **settings)
        return self.instruments[name]

    def _observations(self, kind: str) -> list[Observation]:
        return [Observation(value, attributes) for value, attributes in self.observed.get(kind, ())]

    def measure(self, kind: str, value: Any, attributes: Any) -> None:
        if kind.startswith("Observable"):
            self.instrument(kind)
            self.observed.setdefault(kind, []).append((value, attributes))
            return
        instrument = self.instrument(kind)
        method = {"Histogram": "record", "Gauge": "set"}.get(kind, "add")
        getattr(instrument, method)(value, attributes)

    def collect(self) -> Request | None:
        """Return what arrives at a backend, in an order that does not depend on the SDK."""
        if self.sdk is OURS:
            data = self.reader.read()
            request = None if data is None else Request.FromString(data)
        else:
            data = self.reader.get_metrics_data()
            request = None if data is None else encode_metrics(data)
        self.observed.clear()
        return None if request is None else in_order(request)


def in_order(request: Request) -> Request:
    """Sort what has no order, and drop empty buckets at the ends, which say nothing."""
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            metrics = sorted(scope.metrics, key=lambda metric: (metric.name, metric.unit))
            for metric in metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    attributes = sorted(point.attributes, key=lambda pair: pair.key)
                    del point.attributes[:]
                    point.attributes.extend(attributes)
                    if metric.WhichOneof("data") == "exponential_histogram":
                        trim(point, "positive")
                        trim(point, "negative")
                points = sorted(
                    data.data_points, key=lambda point: [str(pair) for pair in point.attributes]
                )
                del data.data_points[:]
                data.data_points.extend(points)
            del scope.metrics[:]
            scope.metrics.extend(metrics)
    return request


def trim(point: Any, field: str) -> None:
    buckets = getattr(point, field)
    counts = list(buckets.bucket_counts)
    while counts and counts[-1] == 0:
        counts.pop()
    if not counts:
        point.ClearField(field)
        return
    del buckets.bucket_counts[:]
    buckets.bucket_counts.extend(counts)
