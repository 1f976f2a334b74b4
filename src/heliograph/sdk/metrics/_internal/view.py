"""Views: which streams an instrument makes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Instrument

from heliograph.sdk.metrics._internal.aggregation import Aggregation, DefaultAggregation

if TYPE_CHECKING:
    from heliograph.sdk.util.instrumentation import InstrumentationScope


class View:
    """What to make of the instruments that match all given criteria.

    Args:
        instrument_type: a class; instruments of it match.
        instrument_name: a name, in which ``*`` and ``?`` stand for any characters and one.
        instrument_unit: a unit, with the same wildcards.
        meter_name, meter_version, meter_schema_url: exactly these.
        name, description: of the stream, in place of the instrument's.
        attribute_keys: the only keys that are kept; what else there is may go into exemplars.
        aggregation: how to aggregate; the reader's choice when not given.
        exemplar_reservoir_factory: given a class of aggregation, returns what makes its reservoirs:
            one of the two classes that there are; those that the specification names for the
            aggregation when not given.
        aggregation_cardinality_limit: attribute sets beyond so many share one series.
        excluded_attribute_keys: keys that are removed; not together with ``attribute_keys``.

    Raises: ValueError when the arguments cannot be used together.
    """

    def __init__(
        self,
        instrument_type: type[Instrument] | None = None,
        instrument_name: str | None = None,
        meter_name: str | None = None,
        meter_version: str | None = None,
        meter_schema_url: str | None = None,
        name: str | None = None,
        description: str | None = None,
        attribute_keys: Collection[str] | None = None,
        aggregation: Aggregation | None = None,
        exemplar_reservoir_factory: Callable[[type], Any] | None = None,
        instrument_unit: str | None = None,
        aggregation_cardinality_limit: int | None = None,
        *,
        excluded_attribute_keys: Collection[str] | None = None,
    ) -> None:
        criteria = (
            instrument_type,
            instrument_name,
            instrument_unit,
            meter_name,
            meter_version,
            meter_schema_url,
        )
        if all(criterion is None for criterion in criteria):
            raise ValueError(f"View {name} selects by nothing; give at least one criterion")
        if name is not None and instrument_name is not None and set("*?") & set(instrument_name):
            raise ValueError(f"View {name} would give one name to several instruments")
        if attribute_keys is not None and excluded_attribute_keys is not None:
            raise ValueError(f"View {name} has both attribute_keys and excluded_attribute_keys")
        check_limit("aggregation_cardinality_limit", aggregation_cardinality_limit)
        self._name = name
        self._instrument_type = instrument_type
        self._instrument_name = instrument_name
        self._instrument_unit = instrument_unit
        self._meter_name = meter_name
        self._meter_version = meter_version
        self._meter_schema_url = meter_schema_url
        self._description = description
        self._attribute_keys = attribute_keys
        self._excluded_attribute_keys = excluded_attribute_keys
        self._aggregation = aggregation or DefaultAggregation()
        self._exemplar_reservoir_factory = exemplar_reservoir_factory
        self._aggregation_cardinality_limit = aggregation_cardinality_limit

    def _match(self, instrument: Any) -> bool:
        scope: InstrumentationScope = instrument.instrumentation_scope
        if self._instrument_type is not None and not isinstance(instrument, self._instrument_type):
            return False
        # Instrument names are case-insensitive.
        name = self._instrument_name
        if not _fits(instrument.name.lower(), name if name is None else name.lower()):
            return False
        if not _fits(instrument.unit, self._instrument_unit):
            return False
        return (
            self._meter_name in (None, scope.name)
            and self._meter_version in (None, scope.version)
            and self._meter_schema_url in (None, scope.schema_url)
        )


def _fits(value: str, pattern: str | None) -> bool:
    return pattern is None or fnmatchcase(value, pattern)


def check_limit(what: str, limit: object) -> None:
    """Raises: ValueError when a limit is given that is not a whole number above zero."""
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"{what} must be a positive integer, got {limit!r}")
