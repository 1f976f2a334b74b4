"""Let only so many items a second through; the rest stays with its senders.

YAML: ``processors: ratelimit``, any signal; put it first. Fields: `Config`.
Raises: Retry above the rate, with the time until there is room. Holds no data, drops none.
"""

from heliograph.errors import Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Consumer, Settings
from heliograph.pipeline.fields import Field, Seconds


class Config(ComponentConfig):
    """The rate."""

    items_per_second: float = Field(gt=0, description="Spans, points or records a second.")
    burst: int = Field(1000, ge=1, description="Items that may come at once.")


class Core:
    """A bucket: full at the start, emptied by items, filled by time. A batch may overdraw it."""

    def __init__(self, config: Config, now: Seconds) -> None:
        self._rate = config.items_per_second
        self._burst = config.burst
        self._level = float(config.burst)
        self._filled = now

    def take(self, items: int, now: Seconds) -> Seconds:
        """Take items out; return 0, or how long until something can be taken again."""
        self._level = min(self._burst, self._level + (now - self._filled) * self._rate)
        self._filled = now
        if self._level <= 0:
            return (1 - self._level) / self._rate
        self._level -= items
        return 0.0


class Processor:
    """Asks the bucket."""

    signals = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS})

    def __init__(self, config: Config, settings: Settings, next: Consumer) -> None:
        self._now = settings.clock.monotonic
        self._core = Core(config, self._now())
        self._next = next

    async def start(self) -> None:
        """Nothing to open."""

    async def consume(self, batch: Batch) -> None:
        wait = self._core.take(batch.items, self._now())
        if wait:
            raise Retry("above the rate limit", after=wait)
        await self._next.consume(batch)

    async def stop(self) -> None:
        """Nothing to close."""
