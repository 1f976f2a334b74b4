"""The first rule that matches decides.

Spec: Tracing SDK, ComposableRuleBased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import SpanKind, TraceState, get_current_span

from heliograph.sdk.trace._sampling_experimental._composable import (
    NONE,
    ComposableSampler,
    SamplingIntent,
)
from heliograph.sdk.util._patterns import fits

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes


class PredicateT(Protocol):
    """Says whether a rule holds for a span that is about to start."""

    def __call__(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None,
    ) -> bool: ...


class AlwaysMatchPredicate:
    """Every span."""

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def __str__(self) -> str:
        return "AlwaysMatch"


class AllPredicate:
    """Spans for which all of these hold."""

    def __init__(self, predicates: Sequence[PredicateT]) -> None:
        self._predicates = tuple(predicates)

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        return all(predicate(*args, **kwargs) for predicate in self._predicates)

    def __str__(self) -> str:
        return " && ".join(str(predicate) for predicate in self._predicates)


class AttributeValuesPredicate:
    """Spans with one of these values, as text, under a key; in a list, one element is enough."""

    def __init__(self, key: str, values: Sequence[str]) -> None:
        self._key = key
        self._values = frozenset(values)

    def __call__(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None,
    ) -> bool:
        return any(value in self._values for value in _texts(attributes, self._key))

    def __str__(self) -> str:
        return f"{self._key} in [{','.join(sorted(self._values))}]"


class AttributePatternsPredicate:
    """Spans with a value under a key that matches ``included`` and not ``excluded``: glob patterns,
    where none included means all."""

    def __init__(
        self,
        key: str,
        included: Sequence[str] | None = None,
        excluded: Sequence[str] | None = None,
    ) -> None:
        self._key = key
        self._included = tuple(included or ("*",))
        self._excluded = tuple(excluded or ())

    def __call__(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None,
    ) -> bool:
        return any(
            any(fits(value, pattern) for pattern in self._included)
            and not any(fits(value, pattern) for pattern in self._excluded)
            for value in _texts(attributes, self._key)
        )

    def __str__(self) -> str:
        return f"{self._key} matches"


class SpanKindPredicate:
    """Spans of one of these kinds."""

    def __init__(self, span_kinds: Sequence[SpanKind]) -> None:
        self._kinds = frozenset(span_kinds)

    def __call__(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None,
    ) -> bool:
        return span_kind in self._kinds

    def __str__(self) -> str:
        return f"span_kind in [{','.join(sorted(kind.name.lower() for kind in self._kinds))}]"


class ParentPredicate:
    """Spans whose parent is one of ``none``, ``remote`` and ``local``."""

    def __init__(self, parents: Sequence[str]) -> None:
        self._parents = frozenset(parents)

    def __call__(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None,
    ) -> bool:
        parent = get_current_span(parent_ctx).get_span_context()
        if not parent.is_valid:
            return "none" in self._parents
        return ("remote" if parent.is_remote else "local") in self._parents

    def __str__(self) -> str:
        return f"parent in [{','.join(sorted(self._parents))}]"


RulesT = Sequence[tuple[PredicateT, ComposableSampler]]


class RuleBased:
    """See `composable_rule_based`."""

    def __init__(self, rules: RulesT) -> None:
        self._rules = tuple(rules)

    def sampling_intent(
        self,
        parent_ctx: Context | None,
        name: str,
        span_kind: SpanKind | None,
        attributes: Attributes,
        links: Sequence[Link] | None,
        trace_state: TraceState | None = None,
    ) -> SamplingIntent:
        for predicate, sampler in self._rules:
            # Predicates are written with these names.
            if predicate(
                parent_ctx=parent_ctx,
                name=name,
                span_kind=span_kind,
                attributes=attributes,
                links=links,
                trace_state=trace_state,
            ):
                return sampler.sampling_intent(
                    parent_ctx, name, span_kind, attributes, links, trace_state
                )
        return NONE

    def get_description(self) -> str:
        rules = ",".join(f"({when}:{then.get_description()})" for when, then in self._rules)
        return f"ComposableRuleBased{{[{rules}]}}"


def composable_rule_based(rules: RulesT) -> ComposableSampler:
    """Return a sampler that does what the first rule says that holds; no span where none holds.

    Args:
        rules: predicates and samplers, in this order.
    """
    return RuleBased(rules)


def _texts(attributes: Attributes, key: str) -> list[str]:
    if not attributes or key not in attributes:
        return []
    value = attributes[key]
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
    return [str(one) for one in value] if is_list else [str(value)]  # type: ignore[union-attr]
