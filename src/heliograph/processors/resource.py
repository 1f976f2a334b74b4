"""Change attributes of resources.

YAML: ``processors: resource``, any signal. Fields: `Config`. Each resource is changed once,
however many spans, points or records it has.
Source: the Collector's resourceprocessor.
"""

from collections.abc import Iterator, Sequence

from heliograph.errors import Problem
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Consumer, Settings
from heliograph.pipeline.fields import Field
from heliograph.processors._actions import Action, Actions, problems


class Config(ComponentConfig):
    attributes: Sequence[Action] = Field(
        min_length=1, description="What to do with each resource's attributes, in order."
    )

    def check(self) -> Iterator[Problem]:
        yield from problems(self.attributes, "attributes")


class Processor:
    """Applies the actions and passes the batch on."""

    signals = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS})

    def __init__(self, config: Config, settings: Settings, next: Consumer) -> None:
        self._actions = Actions(config.attributes, "resource.attributes")
        self._next = next

    async def start(self) -> None:
        """Nothing to open."""

    async def consume(self, batch: Batch) -> None:
        await self._next.consume(batch.edit(self._actions.edits(batch.context)))

    async def stop(self) -> None:
        """Nothing is held."""
