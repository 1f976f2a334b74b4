"""Print each batch as one line of OTLP/JSON.

YAML: ``exporters: lines``, any signal, after ``service: {components: [lines.py]}``; no fields.
"""

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Settings


class Config(ComponentConfig):
    """Takes no fields."""


class Exporter:
    """Prints on a thread of its own, because whoever reads standard output may be slow."""

    signals = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS})
    blocking = True

    def __init__(self, config: Config, settings: Settings) -> None:
        del config, settings

    async def start(self) -> None:
        """Nothing to open."""

    async def consume(self, batch: Batch) -> None:
        print(batch.json().decode(), flush=True)

    async def stop(self) -> None:
        """Nothing to close."""
