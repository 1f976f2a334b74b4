"""Which tracers, meters and loggers a declarative file turns off."""

from __future__ import annotations

from typing import Any

from opentelemetry._logs import SeverityNumber

from heliograph.sdk.configuration._yaml import Item, Map
from heliograph.sdk.util._configurator import RuleBasedConfigurator
from heliograph.sdk.util._patterns import fits

_SEVERITIES = {one.name.lower(): one.value for one in SeverityNumber if one.value}


def configurator(item: Item | None, kind: str, make: Any) -> Any:
    """Return what decides about scopes by the patterns of their names; None without an item.

    Args:
        item: ``default_config``, and rules under the key ``kind``.
        kind: ``tracers``, ``meters`` or ``loggers``.
        make: the class of the decisions.
    """
    if item is None:
        return None
    options = item.map()
    default = options.map("default_config")
    otherwise = make() if default is None else _decision(default, kind, make)
    rules = []
    for one in options.elements(kind):
        rule = one.map()
        pattern = rule.text("name", required=True) or ""
        config = rule.map("config", required=True)
        decided = make() if config is None else _decision(config, kind, make)
        rule.done()
        rules.append((lambda scope, pattern=pattern: fits(scope.name, pattern), decided))
    options.done()
    return RuleBasedConfigurator(rules=rules, default_config=otherwise)


def _decision(options: Map, kind: str, make: Any) -> Any:
    given: dict[str, Any] = {"is_enabled": options.value("enabled", bool) is not False}
    if kind == "loggers":
        least = options.choice("minimum_severity", _SEVERITIES)
        given["minimum_severity"] = _SEVERITIES.get(least or "", 0)
        given["trace_based"] = options.value("trace_based", bool) is True
    options.done()
    return make(**given)
