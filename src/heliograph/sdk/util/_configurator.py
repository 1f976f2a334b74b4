"""Which tracers, meters and loggers are enabled, by rules about their scopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from heliograph.sdk.util.instrumentation import InstrumentationScope

ConfigT = TypeVar("ConfigT")
RulesT = Sequence[tuple[Callable[[InstrumentationScope], bool], ConfigT]]


class RuleBasedConfigurator(Generic[ConfigT]):
    """Gives a scope the configuration of the first rule that holds, or the default.

    Args:
        rules: predicates of a scope and configurations, in this order.
        default_config: what holds where no rule does.
    """

    def __init__(self, *, rules: RulesT[ConfigT], default_config: ConfigT) -> None:
        self._rules = rules
        self._default = default_config

    def __call__(self, scope: InstrumentationScope) -> ConfigT:
        return next((config for holds, config in self._rules if holds(scope)), self._default)

    def update_rules(self, rules: RulesT[ConfigT]) -> None:
        """Replace the rules; a provider asks again when it is given the configurator again."""
        self._rules = rules
