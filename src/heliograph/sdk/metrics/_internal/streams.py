"""Which streams the instruments of a provider make for a reader, and what they collect."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry import metrics as api
from opentelemetry.metrics import CallbackOptions

from heliograph._core import MetricClock, MetricStorage, MetricStreams, MetricTargets
from heliograph.sdk.metrics._internal.aggregation import (
    KINDS,
    AggregationTemporality,
    is_default,
    stream_kind,
)
from heliograph.sdk.metrics._internal.collected import Collected
from heliograph.sdk.metrics._internal.exceptions import MetricsTimeoutError
from heliograph.sdk.metrics._internal.exemplar.exemplar_reservoir import kept_exemplars
from heliograph.sdk.metrics._internal.exemplar.foreign import Reservoirs
from heliograph.sdk.metrics._internal.export.producer import gather
from heliograph.sdk.metrics._internal.instrument import _Observed, kind_of
from heliograph.sdk.metrics._internal.view import Matching, View, streams_of
from heliograph.sdk.resources import Resource
from heliograph.sdk.util._patterns import Patterns
from heliograph.sdk.util.instrumentation import InstrumentationScope

_logger = logging.getLogger(__name__)

DEFAULT_LIMIT = 2000
CALLBACK_MILLIS = 10_000.0
_EVERYTHING = View(instrument_name="*")


def by_kind(table: Mapping[type, Any] | None) -> dict[str, Any]:
    """Return a reader's table of instrument classes by the kind of instrument.

    Raises: ValueError when one is not a class of instruments.
    """
    return {kind_of(key): value for key, value in (table or {}).items()}


class ReaderStreams:
    """The streams of one reader.

    Args:
        reader: ours or the official SDK's; its tables say how it wants what.
    """

    def __init__(
        self, reader: Any, views: Sequence[View], clock: MetricClock, matching: Matching
    ) -> None:
        self.lock = threading.RLock()
        """Held while collecting: what one collection observes is not another's."""
        self._reader = reader
        self._views = views
        self._matching = matching
        self._clock = clock
        self._temporality = by_kind(reader._instrument_class_temporality)
        self._aggregation = by_kind(reader._instrument_class_aggregation)
        self._limits = by_kind(getattr(reader, "_instrument_class_cardinality_limit", None))
        self._native = MetricStreams()
        self._scopes: list[InstrumentationScope] = []
        self._observed: list[tuple[_Observed, MetricTargets]] = []
        self._identities: set[tuple[Any, ...]] = set()
        self._reservoirs: dict[tuple[InstrumentationScope, str], Reservoirs] = {}
        """Of streams whose reservoirs are of others' classes, by scope and name."""

    def add(self, instrument: Any) -> list[MetricStorage]:
        """Make the storages of a new instrument."""
        matching = [view for view in self._views if self._applies(view, instrument)]
        storages = []
        instrument._reservoirs[self._reader] = []
        for view in streams_of(matching, instrument.name, self._matching) or [_EVERYTHING]:
            storage = self._storage(view, instrument)
            if storage is not None:
                storages.append(storage)
        if storages:
            number = self._scope(instrument.instrumentation_scope)
            for storage in storages:
                self._native.add(number, storage)
        return storages

    def observe(self, instrument: _Observed, targets: MetricTargets) -> None:
        """Call the callbacks of an instrument at each collection."""
        self._observed.append((instrument, targets))

    @property
    def observes(self) -> bool:
        """Whether there is something to report though nobody measures."""
        return bool(self._observed)

    def collect(self, resource: Resource, timeout_millis: float) -> Collected | None:
        """Observe, and return all there is to report.

        Raises: MetricsTimeoutError when callbacks took too long.
        """
        deadline = time.monotonic() + timeout_millis / 1e3
        with self.lock:
            self._observe(deadline, timeout_millis)
            now = self._clock.now()
            schema_url = resource.schema_url or ""
            found = self._native.collect(resource.attributes, schema_url, now)
        collected = None
        if found is not None:
            batch, numbers = found
            collected = Collected(batch, resource, [self._scopes[number] for number in numbers])
            if self._reservoirs:
                collected = self._with_exemplars(collected, resource)
        producers = getattr(self._reader, "_metric_producers", ())
        wanted = getattr(self._reader, "_metric_filter", None)
        if not producers and wanted is None:
            return collected
        return gather(collected, resource, producers, wanted, deadline)

    def _with_exemplars(self, collected: Collected, resource: Resource) -> Collected:
        """Return the same with what reservoirs of others' classes kept."""
        scopes = []
        for scope in collected.resource_metrics[0].scope_metrics:
            metrics = []
            for metric in scope.metrics:
                reservoirs = self._reservoirs.get((scope.scope, metric.name))
                metrics.append(metric if reservoirs is None else reservoirs.put_into(metric))
            scopes.append(replace(scope, metrics=metrics))
        return Collected.of(scopes, resource)

    def after_fork(self) -> None:
        """Begin again in the child, where the parent's other threads are not."""
        self.lock = threading.RLock()
        for reservoirs in self._reservoirs.values():
            reservoirs.after_fork()

    def _observe(self, deadline: float, timeout_millis: float) -> None:
        for instrument, targets in list(self._observed):
            left = (deadline - time.monotonic()) * 1e3
            options = CallbackOptions(timeout_millis=min(left, CALLBACK_MILLIS))
            for observation in instrument.observations(options):
                targets.observe(
                    observation.value,
                    observation.attributes,
                    getattr(observation, "context", None),
                )
            if time.monotonic() >= deadline:
                raise MetricsTimeoutError(f"callbacks took more than {timeout_millis:.0f} ms")

    def _applies(self, view: View, instrument: Any) -> bool:
        if not view._match(instrument):
            return False
        histogram = type(view._aggregation).__name__.endswith("HistogramAggregation")
        if histogram and isinstance(instrument, api.Asynchronous):
            _logger.warning("%s is observed and makes no histogram; a view is ignored.", instrument)
            return False
        return True

    def _storage(self, view: View, instrument: Any) -> MetricStorage | None:
        kind = kind_of(type(instrument))
        aggregation = view._aggregation
        if is_default(aggregation):
            aggregation = self._aggregation.get(kind, aggregation)
        settings = stream_kind(aggregation, instrument)
        if settings is None:
            return None
        limit = view._aggregation_cardinality_limit
        if limit is None:
            limit = self._limits.get(kind, DEFAULT_LIMIT)
        temporality = self._temporality.get(kind, AggregationTemporality.CUMULATIVE)
        only, excluded = view._attribute_keys, getattr(view, "_excluded_attribute_keys", None)
        if only is None and excluded is None:
            only = instrument._attributes_advisory
        like, only = (only, None) if isinstance(only, Patterns) else (None, only)
        name = view._name or instrument.name
        self._warn_of_conflict(instrument, name, settings["kind"])
        kept = self._exemplars(view, settings)
        if not isinstance(kept, int):
            reservoirs = Reservoirs(
                kept,
                like or (None if only is None else frozenset(only)),
                None if excluded is None else frozenset(excluded),
                limit=limit,
                delta=temporality == AggregationTemporality.DELTA,
            )
            self._reservoirs[instrument.instrumentation_scope, name] = reservoirs
            instrument._reservoirs[self._reader].append(reservoirs)
            kept = settings["exemplars"]
        return MetricStorage(
            {
                **settings,
                "exemplars": kept,
                "name": name,
                "description": view._description or instrument.description,
                "unit": instrument.unit,
                "delta": temporality == AggregationTemporality.DELTA,
                "observed": isinstance(instrument, api.Asynchronous),
                "like": None if like is None else (like.wanted, like.unwanted),
                "only": None if only is None else list(only),
                "except": None if excluded is None else list(excluded),
                "limit": limit,
            },
            self._clock,
        )

    def _exemplars(self, view: View, settings: Mapping[str, Any]) -> int | Callable[[], Any]:
        """Return how many exemplars a series keeps, 0 for one of each bucket; or what makes a
        reservoir of a class that the core does not have."""
        own: int = settings["exemplars"]
        factory = view._exemplar_reservoir_factory
        if factory is None or factory.__module__.startswith("opentelemetry.sdk."):
            return own
        builder = factory(KINDS[settings["kind"]])

        def make() -> Any:
            return builder(boundaries=settings["bounds"], size=own or 1)

        wanted = kept_exemplars(make())
        return make if wanted is None else wanted

    def _warn_of_conflict(self, instrument: Any, name: str, kind: str) -> None:
        identity = (instrument.instrumentation_scope, name.lower())
        if identity in self._identities:
            _logger.warning(
                "There are several streams with the name %s in scope %s; backends may merge them.",
                name,
                instrument.instrumentation_scope.name,
            )
        self._identities.add(identity)

    def _scope(self, scope: InstrumentationScope) -> int:
        if scope not in self._scopes:
            self._native.add_scope(
                scope.name, scope.version or "", scope.attributes or {}, scope.schema_url or ""
            )
            self._scopes.append(scope)
        return self._scopes.index(scope)
