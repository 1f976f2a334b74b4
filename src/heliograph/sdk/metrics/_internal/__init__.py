"""The provider of meters."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry import metrics as api
from opentelemetry.util.types import Attributes

from heliograph._core import MetricClock, MetricTargets, settle
from heliograph.sdk import _variables as variables
from heliograph.sdk._children import in_children
from heliograph.sdk._exit import forget, heed
from heliograph.sdk.metrics._internal.exemplar import ExemplarFilter
from heliograph.sdk.metrics._internal.exemplar.exemplar_filter import native_filter
from heliograph.sdk.metrics._internal.exemplar.foreign import offering
from heliograph.sdk.metrics._internal.export.reader import MetricReader
from heliograph.sdk.metrics._internal.instrument import _Observed
from heliograph.sdk.metrics._internal.meter import (
    Meter,
    MeterConfig,
    MeterConfigurator,
    _MeterConfig,
)
from heliograph.sdk.metrics._internal.streams import ReaderStreams
from heliograph.sdk.metrics._internal.view import Matching, View, check_matching
from heliograph.sdk.resources import Resource
from heliograph.sdk.resources._gather import process_dependent
from heliograph.sdk.util.instrumentation import InstrumentationScope

if TYPE_CHECKING:
    from heliograph.sdk.metrics._internal.collected import Collected

__all__ = ["Meter", "MeterConfig", "MeterConfigurator", "MeterProvider", "_MeterConfig"]

_logger = logging.getLogger(__name__)

EXIT_MILLIS = 2_000.0
"""What shutting down may take when the program ends."""


class MeterProvider(api.MeterProvider):
    """Makes meters, and gives readers what their instruments measured.

    Args:
        metric_readers: each gets streams of its own; a reader belongs to one provider.
        resource: what the metrics are of; detected when not given.
        exemplar_filter: which measurements may become exemplars; OTEL_METRICS_EXEMPLAR_FILTER when
            not given, which is ``trace_based`` when not set.
        shutdown_on_exit: flush when the program ends, for two seconds at most.
        views: applied to instruments as they are created.
        view_matching_mode: ``independent`` makes a stream for each view that matches an instrument;
            ``composable`` one for each name that they give it, of what the views say together:
            the last one counts, of ``attribute_keys`` those in all, and every
            ``excluded_attribute_keys``.
        meter_configurator: asked once for each scope whether its meters are enabled; they are
            when not given. ``_meter_configurator`` is the official SDK's name of it.

    Raises: ValueError when a reader belongs to another provider, or for another matching mode.
    Spec: Metrics SDK, MeterProvider.
    """

    _owned: ClassVar[weakref.WeakSet[Any]] = weakref.WeakSet()

    def __init__(
        self,
        metric_readers: Sequence[Any] = (),
        resource: Resource | None = None,
        exemplar_filter: ExemplarFilter | None = None,
        shutdown_on_exit: bool = True,
        views: Sequence[View] = (),
        *,
        view_matching_mode: Matching = "independent",
        meter_configurator: MeterConfigurator | None = None,
        _meter_configurator: MeterConfigurator | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._clock = MetricClock()
        self._views = tuple(views)
        self._matching = check_matching(view_matching_mode)
        self._resource = Resource.create({}) if resource is None else resource
        self._exemplar_filter = native_filter(exemplar_filter)
        self._meter_configurator = meter_configurator or _meter_configurator
        self._meters: dict[InstrumentationScope, Meter] = {}
        self._instruments: list[Any] = []
        self._streams: dict[Any, ReaderStreams] = {}
        self._disabled = variables.is_disabled()
        self._shutdown = False
        for reader in metric_readers:
            if reader in self._owned:
                raise ValueError(f"MetricReader {reader} belongs to another MeterProvider already")
            self._add(reader)
        heed(self, shutdown_on_exit=shutdown_on_exit)
        in_children(self._after_fork, self._begin)

    @property
    def resource(self) -> Resource:
        """What the metrics are of."""
        return self._resource

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> api.Meter:
        """Return the meter of a scope: the same one each time."""
        if self._disabled or self._shutdown or not name:
            if not name:
                _logger.warning("Meter name cannot be None or empty.")
            elif self._shutdown:
                _logger.warning("A MeterProvider that was shut down makes no meters.")
            return api.NoOpMeter(name, version=version, schema_url=schema_url)
        scope = InstrumentationScope(name, version, schema_url, attributes)
        with self._lock:
            meter = self._meters.get(scope)
            if meter is None:
                meter = self._meters[scope] = Meter(scope, self, self._config(scope))
            return meter

    def add_metric_reader(self, metric_reader: Any) -> None:
        """Give a reader its streams; what was measured before is not in them."""
        if metric_reader in self._owned:
            _logger.warning("MetricReader %s belongs to a MeterProvider already.", metric_reader)
            return
        with self._lock:
            self._add(metric_reader)
            for instrument in self._instruments:
                self._bind(instrument)

    def remove_metric_reader(self, metric_reader: Any) -> None:
        """Shut a reader down and forget its streams."""
        with self._lock:
            if self._streams.pop(metric_reader, None) is None:
                _logger.warning("MetricReader %s is not of this MeterProvider.", metric_reader)
                return
            for instrument in self._instruments:
                instrument._storages.pop(metric_reader, None)
                instrument._reservoirs.pop(metric_reader, None)
                self._bind(instrument)
        self._owned.discard(metric_reader)
        metric_reader.shutdown()
        metric_reader._set_collect_callback(None)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and export now; return whether all of it arrived within the time."""
        settle()
        return self._each_reader("force_flush", timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Collect and export a last time. Measuring goes on being harmless."""
        settle()
        with self._lock:
            if self._shutdown:
                _logger.warning("MeterProvider.shutdown was called before.")
                return
            self._shutdown = True
        forget(self)
        self._each_reader("shutdown", timeout_millis)
        with self._lock:
            for instrument in self._instruments:
                instrument._storages = {}
                if not isinstance(instrument, _Observed):
                    instrument._bind(None)

    def _parts(self) -> list[Any]:
        settle()
        return [reader for reader in self._streams if hasattr(reader, "begin_leaving")]

    def _leave(self) -> None:
        if not self._shutdown:
            self.shutdown(EXIT_MILLIS)

    def _each_reader(self, method: str, timeout_millis: float) -> bool:
        deadline = time.monotonic() + timeout_millis / 1e3
        done = True
        for reader in list(self._streams):
            left = max(0.0, (deadline - time.monotonic()) * 1e3)
            try:
                done &= getattr(reader, method)(timeout_millis=left) is not False
            except Exception as error:
                done = False
                _logger.warning("%s of %s failed: %s", method, type(reader).__name__, error)
        return done

    def _add(self, reader: Any) -> None:
        streams = ReaderStreams(reader, self._views, self._clock, self._matching)
        self._streams[reader] = streams
        self._owned.add(reader)
        for instrument in self._instruments:
            self._stream(instrument, reader, streams)
        reader._set_collect_callback(self._collect)
        if isinstance(reader, MetricReader):
            reader._set_meter_provider(self)

    def _collect(self, reader: Any, timeout_millis: float = 10_000) -> Collected | None:
        with self._lock:
            streams = self._streams.get(reader)
        if streams is None:
            return None
        return streams.collect(self._resource, timeout_millis)

    def _introduce(self, instrument: Any) -> None:
        """Give a new instrument its streams in each reader. The lock is held."""
        instrument._storages = {}
        self._instruments.append(instrument)
        for reader, streams in self._streams.items():
            self._stream(instrument, reader, streams)
        self._bind(instrument)

    def _stream(self, instrument: Any, reader: Any, streams: ReaderStreams) -> None:
        storages = streams.add(instrument)
        instrument._storages[reader] = storages
        if isinstance(instrument, _Observed) and storages:
            reservoirs = instrument._reservoirs[reader]
            streams.observe(instrument, self._targets(instrument, storages, reservoirs))

    def _bind(self, instrument: Any) -> None:
        if isinstance(instrument, _Observed):
            return
        storages = [one for found in instrument._storages.values() for one in found]
        if not storages or not instrument._enabled or self._shutdown:
            instrument._bind(None)
            return
        reservoirs = [one for found in instrument._reservoirs.values() for one in found]
        instrument._bind(self._targets(instrument, storages, reservoirs))

    def _targets(
        self, instrument: Any, storages: list[Any], reservoirs: list[Any]
    ) -> MetricTargets:
        negative = not isinstance(instrument, api.Counter | api.Histogram)
        refuse = _refusal(instrument.name, type(instrument).__name__.lstrip("_"))
        exemplars = offering(self._exemplar_filter, reservoirs)
        return MetricTargets(storages, exemplars, negative, self._clock, refuse)

    def _config(self, scope: InstrumentationScope) -> MeterConfig:
        if self._meter_configurator is None:
            return MeterConfig()
        try:
            return self._meter_configurator(scope)
        except Exception:
            _logger.exception("The meter configurator failed for scope %s.", scope.name)
            return MeterConfig()

    def set_meter_configurator(self, *, meter_configurator: MeterConfigurator) -> None:
        """Ask another configurator, for the meters that there are and for those to come."""
        with self._lock:
            self._meter_configurator = meter_configurator
            for meter in self._meters.values():
                meter._set_meter_config(self._config(meter._instrumentation_scope))
            for instrument in self._instruments:
                self._bind(instrument)

    _set_meter_configurator = set_meter_configurator

    def _update_resource(self, resource: Resource) -> None:
        self._resource = self._resource.merge(resource)

    def _begin(self) -> None:
        """In the child, when it measures: threads of its own."""
        for reader in list(self._streams):
            if isinstance(reader, MetricReader):
                reader._begin()

    def _after_fork(self) -> None:
        """In the child: locks of threads that are gone, and what tells processes apart."""
        self._lock = threading.RLock()
        for reader, streams in self._streams.items():
            streams.after_fork()
            if isinstance(reader, MetricReader):
                reader._after_fork()
        if any(streams.observes for streams in self._streams.values()):
            self._begin()
        self._update_resource(process_dependent(self._resource))


_REASONS = {
    "finite": "%s %s: %r is not finite; the measurement is ignored.",
    "negative": "%s %s: %r is below zero; the measurement is ignored.",
    "number": "%s %s: %r is not a number; the measurement is ignored.",
    "attributes": "%s %s: attributes %r are no mapping; they are ignored.",
}


def _refusal(name: str, kind: str) -> Callable[[str, object], None]:
    def refuse(reason: str, what: object) -> None:
        _logger.warning(_REASONS[reason], kind, name, what)

    return refuse
