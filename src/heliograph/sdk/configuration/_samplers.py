"""Samplers of a declarative file. What is returned makes the sampler, once the file is good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.trace import SpanKind

from heliograph.sdk.configuration import _components as components
from heliograph.sdk.configuration._yaml import Item, Map, near
from heliograph.sdk.trace import composable, sampling
from heliograph.sdk.trace._sampling_experimental import _rule_based as rules

Make = Callable[[], Any]


def plugin(item: Item, group: str, name: str, own: list[str]) -> Make:
    """Return what makes an installed component from its options."""
    options = item.plain() or {}
    try:
        cls = components.installed(group, name, own)
    except components.UnknownComponent as error:
        item.problem(str(error), near(name, own) or f"install the package that has {name}")
        return lambda: None
    return lambda: item.made(lambda: cls(**options))


def sampler(item: Item | None) -> Make:
    """Return what makes a sampler."""
    found = None if item is None else item.map().one()
    if found is None:
        return lambda: sampling.DEFAULT_ON
    name, inner = found
    if name not in _MAKERS:
        return plugin(inner, "opentelemetry_traces_sampler", name, list(_MAKERS))
    options = inner.map()
    made: Make = _MAKERS[name](options) if name != "composite/development" else _composite(inner)
    if name != "composite/development":
        options.done()
    return made


def _ratio(options: Map) -> Make:
    ratio = options.number("ratio", float, most=1)
    return lambda: sampling.TraceIdRatioBased(1.0 if ratio is None else ratio)


def _probability(options: Map) -> Make:
    ratio = options.number("ratio", float, most=1)
    return lambda: composable.composite_sampler(
        composable.composable_traceid_ratio_based(1.0 if ratio is None else ratio)
    )


def _always_record(options: Map) -> Make:
    root = sampler(options.get("root", required=True))
    return lambda: sampling.AlwaysRecordSampler(root())


def _parent_based(options: Map) -> Make:
    parts = {
        key: sampler(item)
        for key in (
            "root",
            "remote_parent_sampled",
            "remote_parent_not_sampled",
            "local_parent_sampled",
            "local_parent_not_sampled",
        )
        if (item := options.get(key)) is not None
    }
    parts.setdefault("root", lambda: sampling.ALWAYS_ON)
    return lambda: sampling.ParentBased(**{key: make() for key, make in parts.items()})


def _jaeger(options: Map) -> Make:
    endpoint = options.text("endpoint", required=True)
    interval = options.number("interval") or 60_000
    initial = sampler(options.get("initial_sampler", required=True))

    def make() -> Any:
        from heliograph.sdk.trace import jaeger_remote  # noqa: PLC0415 - seldom needed

        return jaeger_remote.JaegerRemoteSampler(
            endpoint=endpoint, polling_interval_ms=interval, initial_sampler=initial()
        )

    return make


def _composite(item: Item) -> Make:
    part = _composable(item)
    return lambda: composable.composite_sampler(part())


def _composable(item: Item) -> Make:
    found = item.map().one()
    if found is None:
        return lambda: None
    name, inner = found
    options = inner.map()
    made: Make
    match name:
        case "always_on":
            made = composable.composable_always_on
        case "always_off":
            made = composable.composable_always_off
        case "probability":
            given = options.number("ratio", float, most=1)
            ratio = 1.0 if given is None else given

            def made() -> Any:
                return composable.composable_traceid_ratio_based(ratio)

        case "parent_threshold":
            root = options.get("root", required=True)
            inside: Make = (lambda: None) if root is None else _composable(root)

            def made() -> Any:
                return composable.composable_parent_threshold(inside())

        case "rule_based":
            parts = [_rule(rule.map()) for rule in options.elements("rules")]

            def made() -> Any:
                return composable.composable_rule_based([(when, make()) for when, make in parts])

        case _:
            inner.problem(
                f"there is no composable sampler {name!r}",
                "use always_on, always_off, probability, parent_threshold or rule_based",
            )
            return lambda: None
    options.done()
    return made


def _rule(rule: Map) -> tuple[Any, Make]:
    conditions: list[Any] = []
    if (values := rule.map("attribute_values")) is not None:
        key = values.text("key", required=True)
        conditions.append(rules.AttributeValuesPredicate(key or "", values.texts("values")))
        values.done()
    if (patterns := rule.map("attribute_patterns")) is not None:
        key = patterns.text("key", required=True)
        included, excluded = patterns.texts("included"), patterns.texts("excluded")
        conditions.append(rules.AttributePatternsPredicate(key or "", included, excluded))
        patterns.done()
    kinds = {kind.name.lower(): kind for kind in SpanKind}
    for key, allowed in (("span_kinds", list(kinds)), ("parent", ["none", "remote", "local"])):
        items = rule.elements(key)
        for item in items:
            if item.plain() not in allowed:
                item.problem(f"is {item.plain()!r}, not one of {', '.join(allowed)}")
        names = [item.plain() for item in items if item.plain() in allowed]
        if names and key == "span_kinds":
            conditions.append(rules.SpanKindPredicate([kinds[name] for name in names]))
        elif names:
            conditions.append(rules.ParentPredicate(names))
    then = rule.get("sampler", required=True)
    make: Make = (lambda: None) if then is None else _composable(then)
    rule.done()
    return rules.AllPredicate(conditions), make


_MAKERS: dict[str, Callable[[Map], Make]] = {
    "always_on": lambda options: lambda: sampling.ALWAYS_ON,
    "always_off": lambda options: lambda: sampling.ALWAYS_OFF,
    "always_record": _always_record,
    "parent_based": _parent_based,
    "trace_id_ratio_based": _ratio,
    "probability/development": _probability,
    "jaeger_remote/development": _jaeger,
    "composite/development": _probability,
}
