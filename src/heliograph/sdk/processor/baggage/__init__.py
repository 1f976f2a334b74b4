"""Baggage as attributes of the spans and log records that are made while it is in the context.

Baggage leaves the process with every request: put no secrets in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import baggage

from heliograph.sdk.logs import LogRecordProcessor
from heliograph.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from heliograph.sdk.logs import ReadWriteLogRecord
    from heliograph.sdk.trace import Span

BaggageKeyPredicateT = Callable[[str], bool]
BaggageKeyPredicates = BaggageKeyPredicateT | Sequence[BaggageKeyPredicateT]


def ALLOW_ALL_BAGGAGE_KEYS(key: str) -> bool:
    """Say yes to every key."""
    return True


def _matching(
    predicates: BaggageKeyPredicates, context: Context | None
) -> Iterator[tuple[str, Any]]:
    tests = [predicates] if callable(predicates) else predicates
    for key, value in baggage.get_all(context).items():
        if any(test(key) for test in tests):
            yield key, value


class BaggageSpanProcessor(SpanProcessor):
    """Puts baggage on spans when they start.

    Args:
        baggage_key_predicate: says of a key whether it is wanted; of several, one is enough.
    """

    def __init__(self, baggage_key_predicate: BaggageKeyPredicates) -> None:
        self._predicates = baggage_key_predicate

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        for key, value in _matching(self._predicates, parent_context):
            span.set_attribute(key, value)


class BaggageLogProcessor(LogRecordProcessor):
    """Puts baggage on log records; attributes that a record has already stay.

    Args:
        baggage_key_predicate: says of a key whether it is wanted; of several, one is enough.
        max_baggage_attributes: so many entries at most.
    """

    def __init__(
        self, baggage_key_predicate: BaggageKeyPredicates, max_baggage_attributes: int = 128
    ) -> None:
        self._predicates = baggage_key_predicate
        self._most = max_baggage_attributes

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        record: Any = log_record.log_record
        left = self._most
        for key, value in _matching(self._predicates, record.context or None):
            if left > 0 and key not in record.attributes:
                record.attributes[key] = value
                left -= 1


__all__ = ["ALLOW_ALL_BAGGAGE_KEYS", "BaggageLogProcessor", "BaggageSpanProcessor"]
