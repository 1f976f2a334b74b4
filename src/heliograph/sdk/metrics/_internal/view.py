"""Views: which streams an instrument makes.

Spec: Metrics SDK, View.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from opentelemetry.metrics import Instrument

from heliograph.sdk.metrics._internal.aggregation import (
    Aggregation,
    DefaultAggregation,
    is_default,
)
from heliograph.sdk.util._patterns import Patterns, fits, is_pattern

if TYPE_CHECKING:
    from heliograph.sdk.util.instrumentation import InstrumentationScope


Matching = Literal["independent", "composable"]
"""What several views make of one instrument."""


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
        exemplar_reservoir_factory: given a class of aggregation, returns what makes its reservoirs,
            called with ``boundaries`` and ``size``; those that the specification names for the
            aggregation when not given. With a class that is not of the SDK, each measurement asks
            Python.
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
        if name is not None and instrument_name is not None and is_pattern(instrument_name):
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
        self._attribute_keys: Collection[str] | Patterns | None = attribute_keys
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
    return pattern is None or fits(value, pattern)


def check_limit(what: str, limit: object) -> None:
    """Raises: ValueError when a limit is given that is not a whole number above zero."""
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"{what} must be a positive integer, got {limit!r}")


def check_matching(mode: str) -> Matching:
    """Return a matching mode. Raises: ValueError when it is none."""
    if mode not in get_args(Matching):
        raise ValueError(f"view_matching_mode is {mode!r}, none of {', '.join(get_args(Matching))}")
    return cast(Matching, mode)


def streams_of(matching: Sequence[View], name: str, mode: Matching) -> Sequence[View]:
    """Return a view for each stream that the views that match an instrument of this name make.

    Spec: Metrics SDK, Measurement processing.
    """
    if mode == "independent":
        return matching
    renamed = [view._name for view in matching if view._name not in (None, name)]
    names: list[str | None] = list(dict.fromkeys(renamed)) or ([None] if matching else [])
    return [
        _composed([view for view in matching if view._name in (None, name, other)], other)
        for other in names
    ]


def _composed(views: Sequence[View], name: str | None) -> View:
    """Return what views say together of the stream of a name; the last one that says it counts."""
    made = View(instrument_name="*")
    made._name = name
    for view in views:
        made._description = view._description or made._description
        if not is_default(view._aggregation):
            made._aggregation = view._aggregation
        if view._exemplar_reservoir_factory is not None:
            made._exemplar_reservoir_factory = view._exemplar_reservoir_factory
        if view._aggregation_cardinality_limit is not None:
            made._aggregation_cardinality_limit = view._aggregation_cardinality_limit
    given = [view._attribute_keys for view in views if view._attribute_keys is not None]
    patterns = [keys for keys in given if isinstance(keys, Patterns)]
    only = [set(keys) for keys in given if not isinstance(keys, Patterns)]
    excluded: set[str] = set()
    for view in views:
        excluded |= set(getattr(view, "_excluded_attribute_keys", None) or ())
    if patterns:
        wanted = [*only, *(one for keys in patterns for one in keys.wanted)]
        unwanted = [*excluded, *(one for keys in patterns for one in keys.unwanted)]
        made._attribute_keys = Patterns(wanted, unwanted)
    elif only:
        made._attribute_keys = set.intersection(*only) - excluded
    elif excluded:
        made._excluded_attribute_keys = excluded
    return made
