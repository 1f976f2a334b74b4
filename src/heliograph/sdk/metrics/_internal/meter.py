"""A meter makes the instruments of a scope."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
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
class MeterConfig:
    """What a configurator says of the meters of a scope. Spec: Metrics SDK, MeterConfig.

    ``is_enabled``: whether instruments of the scope measure; true when not given.
    """

    is_enabled: bool = True


_MeterConfig = MeterConfig
MeterConfigurator = Callable[[InstrumentationScope], MeterConfig]
"""Says what is to be of the meters of a scope; should be quick. Spec: Metrics SDK."""


class Meter(api.Meter):
    """Makes instruments. Asked again for the same, it returns the same.

    An instrument whose name or unit the specification does not allow measures nothing, and is said.
    ``attributes_advisory`` names the only attribute keys that are kept where no view says which.
    Spec: Metrics API, Meter and instrument advisory parameters.
    """

    def __init__(
        self,
        instrumentation_scope: InstrumentationScope,
        provider: MeterProvider,
        config: MeterConfig,
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

    def create_counter(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        attributes_advisory: Sequence[str] | None = None,
    ) -> api.Counter:
        found: api.Counter = self._create(
            "Counter", name, unit, description, kept=attributes_advisory
        )
        return found

    def create_up_down_counter(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        attributes_advisory: Sequence[str] | None = None,
    ) -> api.UpDownCounter:
        found: api.UpDownCounter = self._create(
            "UpDownCounter", name, unit, description, kept=attributes_advisory
        )
        return found

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
        attributes_advisory: Sequence[str] | None = None,
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
            "Histogram", name, unit, description, boundaries=boundaries, kept=attributes_advisory
        )
        return found

    def create_gauge(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        attributes_advisory: Sequence[str] | None = None,
    ) -> api._Gauge:
        found: api._Gauge = self._create("Gauge", name, unit, description, kept=attributes_advisory)
        return found

    def create_observable_counter(
        self,
        name: str,
        callbacks: Callbacks = None,
        unit: str = "",
        description: str = "",
        *,
        attributes_advisory: Sequence[str] | None = None,
    ) -> api.ObservableCounter:
        found: api.ObservableCounter = self._create(
            "ObservableCounter", name, unit, description, callbacks, kept=attributes_advisory
        )
        return found

    def create_observable_gauge(
        self,
        name: str,
        callbacks: Callbacks = None,
        unit: str = "",
        description: str = "",
        *,
        attributes_advisory: Sequence[str] | None = None,
    ) -> api.ObservableGauge:
        found: api.ObservableGauge = self._create(
            "ObservableGauge", name, unit, description, callbacks, kept=attributes_advisory
        )
        return found

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Callbacks = None,
        unit: str = "",
        description: str = "",
        *,
        attributes_advisory: Sequence[str] | None = None,
    ) -> api.ObservableUpDownCounter:
        found: api.ObservableUpDownCounter = self._create(
            "ObservableUpDownCounter", name, unit, description, callbacks, kept=attributes_advisory
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
        kept: Sequence[str] | None = None,
    ) -> Any:
        checked = api.Instrument._check_name_unit_description(name, unit or "", description or "")
        unit, description = checked["unit"] or "", checked["description"] or ""
        # Instrument names are case-insensitive.
        name = str(name).lower()
        key = (name, kind, unit, description)
        keys = _keys(name, kept)
        with self._provider._lock:
            instrument = self._instruments.get(key)
            if instrument is not None:
                if boundaries != getattr(instrument, "_boundaries_advisory", None):
                    _logger.warning("%s exists with other boundaries; they stay.", instrument)
                if keys != instrument._attributes_advisory:
                    _logger.warning("%s exists with other attributes; they stay.", instrument)
                return instrument
            cls: Any = KINDS[kind]
            arguments = (name, self._instrumentation_scope, unit, description)
            if issubclass(cls, _Observed):
                instrument = cls(*arguments, callbacks)
            else:
                instrument = cls(*arguments)
            if boundaries is not None:
                instrument._boundaries_advisory = boundaries
            instrument._attributes_advisory = keys
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

    def is_enabled(self) -> bool:
        """Return whether instruments of this meter measure, as its configuration says."""
        return self._config.is_enabled

    _is_enabled = is_enabled

    def _set_meter_config(self, config: MeterConfig) -> None:
        with self._provider._lock:
            self._config = config
            for instrument in self._instruments.values():
                instrument._enabled = config.is_enabled


def _keys(name: str, kept: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the attribute keys that are advised; None for all of them."""
    if kept is None:
        return None
    if isinstance(kept, str) or not all(isinstance(key, str) for key in kept):
        _logger.warning("The attributes advised for %s are no sequence of keys: %r.", name, kept)
        return None
    return tuple(kept)
