"""Merge small requests into larger ones, without holding anybody back for company.

YAML: ``processors: batch``, any signal; put it after what drops data. Fields: `Config`.
A request goes on at once when nothing of its own kind is in flight; what arrives meanwhile goes on
as one when that lands, at ``send_batch_size``, or after ``timeout``. A sender hears what became of
its own data: a merged request that is rejected for good is sent once more as its original requests.
Requests with differing metadata or authentication are never merged.
Raises: what the next component raises. Holds no data that was acknowledged.
Source: the Collector's batchprocessor, which acknowledges before it sends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from heliograph.errors import Problem
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.batching import Batcher, Sizes, Triggers
from heliograph.pipeline.component import ComponentConfig, Consumer, Settings
from heliograph.pipeline.fields import Duration, Field

ITEM_BOUNDS = [
    *(10, 25, 50, 75, 100, 250, 500, 750),
    *(1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000),
    *(10_000, 20_000, 30_000, 50_000, 100_000),
]
BYTE_BOUNDS = [2**power for power in range(7, 25)]


class Config(ComponentConfig):
    """When to merge, and what with what."""

    timeout: Duration = Field(
        "200ms",
        ge=0,
        description="Longest wait of a request for the one in flight before it; 0: no merging.",
    )
    send_batch_size: int = Field(
        8192, ge=0, description="Send at once when so many items wait; 0: never for that."
    )
    send_batch_max_size: int = Field(
        0, ge=0, description="Most items of a request; larger ones are split. 0: no bound."
    )
    metadata_keys: list[str] = Field(
        [],
        description="Merge requests with equal values of these request metadata, and pass only "
        "these on; when empty, only requests whose metadata are all equal.",
    )
    metadata_cardinality_limit: int = Field(
        1000, ge=1, description="Beyond so many kinds of requests at a time, they pass unmerged."
    )

    def check(self) -> Iterator[Problem]:
        if self.send_batch_max_size and self.send_batch_max_size < self.send_batch_size:
            yield Problem(
                "send_batch_max_size",
                f"is {self.send_batch_max_size}, below send_batch_size ({self.send_batch_size})",
                fix=f"use {self.send_batch_size} or more, or 0 for no bound",
            )
        keys = [key.lower() for key in self.metadata_keys]
        for key in sorted({key for key in keys if keys.count(key) > 1}):
            yield Problem("metadata_keys", f"names '{key}' twice")


class Processor:
    """Merges for one pipeline."""

    signals = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES})

    def __init__(self, config: Config, settings: Settings, next: Consumer) -> None:
        labels = {"processor": str(settings.id)}
        counter, histogram = settings.telemetry.counter, settings.telemetry.histogram
        name = "otelcol_processor_batch_batch_send_size"
        self._items = histogram(name, ITEM_BOUNDS, **labels)
        self._bytes = histogram(f"{name}_bytes", BYTE_BOUNDS, **labels)
        self._next = next.consume
        self._batcher = Batcher(
            self._send,
            Sizes(config.send_batch_size, config.send_batch_max_size, config.timeout),
            settings.clock,
            keys=config.metadata_keys,
            most_groups=config.metadata_cardinality_limit,
            triggers=Triggers(
                counter("otelcol_processor_batch_batch_size_trigger_send", **labels),
                counter("otelcol_processor_batch_timeout_trigger_send", **labels),
            ),
        )
        name = "otelcol_processor_batch_metadata_cardinality"
        settings.telemetry.gauge_part(name, lambda: self._batcher.groups, **labels)

    async def start(self) -> None:
        """Nothing to open."""

    async def consume(self, batch: Batch) -> None:
        await self._batcher.consume(batch)

    def _send(self, batch: Batch) -> Awaitable[None]:
        self._items.record(batch.items)
        self._bytes.record(batch.nbytes)
        return self._next(batch)

    async def stop(self) -> None:
        await self._batcher.stop()
