"""Change attributes of spans, data points and log records.

YAML: ``processors: attributes``, any signal. Fields: `Config`. ``include`` and ``exclude`` select
the items; all of them when neither is given, and then no column is built.
Source: the Collector's attributesprocessor.
"""

from collections.abc import Iterator, Sequence

from heliograph.errors import ConfigError, Problem
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Consumer, Settings
from heliograph.pipeline.fields import Field
from heliograph.processors._actions import Action, Actions, problems
from heliograph.processors._match import Match, Selection


class Config(ComponentConfig):
    actions: Sequence[Action] = Field(
        min_length=1, description="What to do with each item's attributes, in order."
    )
    include: Match | None = Field(None, description="Work on these items only.")
    exclude: Match | None = Field(None, description="Leave these items as they are.")

    def check(self) -> Iterator[Problem]:
        yield from problems(self.actions, "actions")
        for name in ("include", "exclude"):
            match: Match | None = getattr(self, name)
            if match is not None:
                yield from (problem.under(name) for problem in match.check())


class Processor:
    """Applies the actions to the selected items and passes the batch on."""

    signals = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS})

    def __init__(self, config: Config, settings: Settings, next: Consumer) -> None:
        if settings.signal is not None and (wrong := list(_wrong(config, settings.signal))):
            raise ConfigError(problem.under(f"processors.{settings.id}") for problem in wrong)
        self._actions = Actions(config.actions, "attributes")
        self._selection = Selection(config.include, config.exclude)
        self._next = next

    async def start(self) -> None:
        """Nothing to open."""

    async def consume(self, batch: Batch) -> None:
        edits = self._actions.edits(batch.context)
        await self._next.consume(batch.edit(edits, rows=self._selection.rows(batch)))

    async def stop(self) -> None:
        """Nothing is held."""


def _wrong(config: Config, signal: Signal) -> Iterator[Problem]:
    for name in ("include", "exclude"):
        match: Match | None = getattr(config, name)
        if match is not None:
            yield from (problem.under(name) for problem in match.check_signal(signal))
