"""A meter makes the instruments of a scope."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics as api

from heliograph.sdk.metrics._internal.aggregation import check_boundaries
from heliograph.sdk.metrics._internal.instrument import KINDS, Callback, _Observed
from heliograph.sdk.util.instrumentation import InstrumentationScope

if TYPE_CHECKING:
    from heliograph.sdk.metrics._internal import MeterProvider

_logger = logging.getLogger(__name__)

Callbacks = Sequence[Callback | Generator[Any, Any, Any]] | None


@dataclass
class _MeterConfig:
    """What a configurator says of the meters of a scope."""

    is_enabled: bool = True


class Meter(api.Meter):
    """Makes instruments. Asked again for the same, it returns the same.

    An instrument whose name or unit the specification does not allow measures nothing, and is said.
    """

    def __init__(
        self,
        instrumentation_scope: InstrumentationScope,
        provider: MeterProvider,
        config: _MeterConfig,
    ) -> None:
        super().__init__(
            name=instrumentation_scope.name,
            version=instrumentation_scope.version,
            schema_url=instrumentation_scope.schema_url,
        )
        self._instrumentation_scope = instrumentation_scope
        self._provider = provider
        self._config = config
        self._instruments: dict[tuple[str, str, str, str], Any] = {}

    def create_counter(self, name: str, unit: str = "", description: str = "") -> api.Counter:
        found: api.Counter = self._create("Counter", name, unit, description)
        return found

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> api.UpDownCounter:
        found: api.UpDownCounter = self._create("UpDownCounter", name, unit, description)
        return found

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> api.Histogram:
        boundaries = explicit_bucket_boundaries_advisory
        if boundaries is not None:
            try:
                boundaries = tuple(float(boundary) for boundary in boundaries)
                check_boundaries(boundaries)
            except (TypeError, ValueError) as error:
                _logger.warning("The boundaries advised for %s are not used: %s", name, error)
                boundaries = None
        found: api.Histogram = self._create(
            "Histogram", name, unit, description, boundaries=boundaries
        )
        return found

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> api._Gauge:
        found: api._Gauge = self._create("Gauge", name, unit, description)
        return found

    def create_observable_counter(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> api.ObservableCounter:
        found: api.ObservableCounter = self._create(
            "ObservableCounter", name, unit, description, callbacks
        )
        return found

    def create_observable_gauge(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> api.ObservableGauge:
        found: api.ObservableGauge = self._create(
            "ObservableGauge", name, unit, description, callbacks
        )
        return found

    def create_observable_up_down_counter(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> api.ObservableUpDownCounter:
        found: api.ObservableUpDownCounter = self._create(
            "ObservableUpDownCounter", name, unit, description, callbacks
        )
        return found

    def _create(
        self,
        kind: str,
        name: str,
        unit: str | None,
        description: str | None,
        callbacks: Callbacks = None,
        *,
        boundaries: Sequence[float] | None = None,
    ) -> Any:
        checked = api.Instrument._check_name_unit_description(name, unit or "", description or "")
        unit, description = checked["unit"] or "", checked["description"] or ""
        # Instrument names are case-insensitive.
        name = str(name).lower()
        key = (name, kind, unit, description)
        with self._provider._lock:
            instrument = self._instruments.get(key)
            if instrument is not None:
                if boundaries != getattr(instrument, "_boundaries_advisory", None):
                    _logger.warning("%s exists with other boundaries; they stay.", instrument)
                return instrument
            cls: Any = KINDS[kind]
            arguments = (name, self._instrumentation_scope, unit, description)
            if issubclass(cls, _Observed):
                instrument = cls(*arguments, callbacks)
            else:
                instrument = cls(*arguments)
            if boundaries is not None:
                instrument._boundaries_advisory = boundaries
            instrument._enabled = self._config.is_enabled
            self._instruments[key] = instrument
            if checked["name"] is not None and checked["unit"] is not None:
                self._provider._introduce(instrument)
        if checked["name"] is None or checked["unit"] is None:
            _logger.error(
                "%s %r with unit %r measures nothing: names are a letter and up to 254 letters,"
                " digits, '_', '.', '-' and '/', units up to 63 ASCII characters.",
                kind,
                name,
                unit,
            )
        return instrument

    def _is_enabled(self) -> bool:
        return self._config.is_enabled

    def _set_meter_config(self, config: _MeterConfig) -> None:
        with self._provider._lock:
            self._config = config
            for instrument in self._instruments.values():
                instrument._enabled = config.is_enabled
