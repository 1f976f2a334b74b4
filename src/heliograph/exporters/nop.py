"""Take everything and do nothing with it.

YAML: ``exporters: nop``, any signal; no fields. For trying receivers and processors, and for
measuring what a pipeline costs without its end.
Source: the Collector's nopexporter.
"""

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Settings


class Config(ComponentConfig):
    """Takes no fields."""


class Exporter:
    """Acknowledges at once."""

    signals = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES})

    def __init__(self, config: Config, settings: Settings) -> None:
        del config, settings

    async def start(self) -> None:
        """Nothing to open."""

    async def consume(self, batch: Batch) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to close."""
