"""Lead pipelines into others: several into one, or one into several with processors of their own.

YAML: ``connectors: forward``, any signal; no fields. Name it as an exporter of the pipelines that
end in it and as a receiver of those that begin with it; each signal goes to pipelines of its own.
Source: the Collector's forwardconnector.
"""

from collections.abc import Mapping

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Consumer, Settings


class Config(ComponentConfig):
    """Takes no fields."""


class Connector:
    """Hands each batch on as it is."""

    signals = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES})

    def __init__(self, config: Config, settings: Settings, next: Mapping[Signal, Consumer]) -> None:
        del config, settings
        self._next = next

    async def start(self) -> None:
        """Nothing to open."""

    async def consume(self, batch: Batch) -> None:
        await self._next[batch.signal].consume(batch)

    async def stop(self) -> None:
        """Nothing to close."""
