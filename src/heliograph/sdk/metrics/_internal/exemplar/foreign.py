"""Exemplar reservoirs of classes that the core does not have.

They are offered measurements where the exemplar filter is asked, which Python then does for each
measurement, and what they kept replaces what the core kept when a reader collects.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

from heliograph.sdk.metrics._internal.exemplar.exemplar_filter import (
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    TraceBasedExemplarFilter,
)

_PYTHON: dict[str, type[ExemplarFilter]] = {
    "always_on": AlwaysOnExemplarFilter,
    "trace_based": TraceBasedExemplarFilter,
}

_logger = logging.getLogger(__name__)

Key = frozenset[tuple[str, str, str]]

OVERFLOW: Mapping[str, Any] = {"otel.metric.overflow": True}


def key_of(attributes: Mapping[str, Any] | None) -> Key:
    """Return what is equal for equal attribute sets; 1, 1.0 and True are different."""
    return frozenset((str(key), *_value(value)) for key, value in (attributes or {}).items())


def _value(value: Any) -> tuple[str, str]:
    for kind in (bool, int, float, str, bytes):
        if isinstance(value, kind):
            return kind.__name__, kind.__repr__(value)
    if isinstance(value, Mapping):
        return "mapping", repr(sorted(key_of(value)))
    try:
        return "sequence", repr([_value(item) for item in value])
    except TypeError:
        return "str", repr(str(value))


def offering(
    wanted: str | Callable[..., bool], reservoirs: Sequence[Reservoirs]
) -> str | Callable[..., bool]:
    """Return an exemplar filter, as the core takes it, that also offers to these reservoirs what
    passes."""
    if not reservoirs or wanted == "always_off":
        return wanted
    passes: Callable[..., bool]
    passes = _PYTHON[wanted]().should_sample if isinstance(wanted, str) else wanted

    def should_sample(value: Any, time_unix_nano: int, attributes: Any, context: Any) -> bool:
        if not passes(value, time_unix_nano, attributes, context):
            return False
        for reservoir in reservoirs:
            reservoir.offer(value, time_unix_nano, attributes, context)
        return True

    return should_sample


class Reservoirs:
    """The reservoirs of one stream, one for each series.

    Args:
        make: returns a new one.
        only, excluded: the keys that the stream keeps, or removes.
        limit: the most series; what is beyond shares one.
        delta: series begin anew with each collection.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        only: Container[str] | None,
        excluded: frozenset[str] | None,
        *,
        limit: int,
        delta: bool,
    ) -> None:
        self._make = make
        self._only, self._excluded = only, excluded
        self._limit, self._delta = limit, delta
        self._lock = threading.Lock()
        self._of: dict[Key, Any] = {}

    def offer(self, value: Any, time_unix_nano: int, attributes: Any, context: Any) -> None:
        """Offer a measurement to its series' reservoir; what that raises is logged."""
        try:
            given = dict(attributes or {})
            key = key_of({name: kept for name, kept in given.items() if self._keeps(name)})
            with self._lock:
                if key not in self._of and len(self._of) >= self._limit:
                    key = key_of(OVERFLOW)
                reservoir = self._of.get(key)
                if reservoir is None:
                    reservoir = self._of[key] = self._make()
            reservoir.offer(value, time_unix_nano, given, context)
        except Exception:
            _logger.exception("An exemplar reservoir failed.")

    def _keeps(self, name: str) -> bool:
        if self._only is not None:
            return name in self._only
        return self._excluded is None or name not in self._excluded

    def put_into(self, metric: Any) -> Any:
        """Return the metric with what the reservoirs kept in place of other exemplars."""
        with self._lock:
            of = self._of
            if self._delta:
                self._of = {}
        points = [replace(point, exemplars=_kept(of, point)) for point in metric.data.data_points]
        return replace(metric, data=replace(metric.data, data_points=points))

    def after_fork(self) -> None:
        """Begin again in the child."""
        self._lock = threading.Lock()
        self._of = {}


def _kept(of: Mapping[Key, Any], point: Any) -> list[Any]:
    reservoir = of.get(key_of(point.attributes))
    if reservoir is None:
        return []
    try:
        return list(reservoir.collect(point.attributes or {}))
    except Exception:
        _logger.exception("An exemplar reservoir failed.")
        return []
