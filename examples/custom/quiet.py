"""Drop log records below a severity.

YAML: ``processors: quiet``, logs, after ``service: {components: [quiet.py]}``. Fields: `Config`.
Only the one column is decoded; what is kept goes on as the bytes that came in.
"""

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Consumer, Settings
from heliograph.pipeline.fields import Field


class Config(ComponentConfig):
    """Where to cut."""

    below: int = Field(9, ge=1, le=24, description="Lowest severity number kept; 9 is INFO.")


class Processor:
    """A loop over batches, an expression over records."""

    signals = frozenset({Signal.LOGS})

    def __init__(self, config: Config, settings: Settings, next: Consumer) -> None:
        self._below = config.below
        self._dropped = settings.telemetry.counter("quiet_dropped", processor=str(settings.id))
        self._next = next

    async def start(self) -> None:
        """Nothing to open."""

    async def consume(self, batch: Batch) -> None:
        kept = batch.take(batch.frame("severity_number")["severity_number"] >= self._below)
        self._dropped.value += batch.items - kept.items
        if kept.items:
            await self._next.consume(kept)

    async def stop(self) -> None:
        """Nothing to close."""
