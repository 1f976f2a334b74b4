"""What stands around an exporter: where batches wait until the other side has them.

::

    consume ─▶ batch? ─┬─ Direct      the sender waits            no journal, or wait_for_result
                       ├─ Journaled   the sender waits, or disk   by default
                       └─ Remembered  nobody waits                acknowledge: memory

All ways share what is in `pipeline.sending`: slots (``num_consumers``), attempts (``timeout``) and
back-off (``retry_on_failure``).
"""

from __future__ import annotations

import asyncio
from typing import Any

from heliograph.errors import ConfigError, Problem, Reject, Retry
from heliograph.otlp import Batch
from heliograph.pipeline.batching import Batcher, Sizes
from heliograph.pipeline.component import ComponentId, Exporter, Settings
from heliograph.pipeline.delivery_config import DeliveryConfig as DeliveryConfig
from heliograph.pipeline.delivery_config import QueueBatchConfig
from heliograph.pipeline.direct import Direct
from heliograph.pipeline.journal import Journal
from heliograph.pipeline.journaled import Journaled
from heliograph.pipeline.kept import Kept
from heliograph.pipeline.pump import Pump
from heliograph.pipeline.remembered import Remembered
from heliograph.pipeline.sending import PATIENCE as PATIENCE
from heliograph.pipeline.sending import Sending


class Delivery:
    """Waiting, concurrency, time-out and back-off of one exporter.

    Args:
        journal: the journal of exporters that name no ``storage``; None where there is none.
    """

    def __init__(
        self,
        exporter: Exporter,
        config: DeliveryConfig,
        settings: Settings,
        journal: Journal | None = None,
    ) -> None:
        self._exporter = exporter
        self._settings = settings
        self._queue = config.sending_queue
        self._retries = config.retry_on_failure.enabled
        self._journal = journal
        self._sending = sending = Sending(exporter, config, settings)
        self._kept: Kept | None = None
        self._leftovers: Pump | None = None
        """Delivers what another configuration of this exporter left in the journal."""
        self._way: Direct | Journaled | Remembered = Direct(sending)
        self._batcher = self._make_batcher(self._queue.batch)
        self._measured()

    @property
    def promise(self) -> str:
        """What an acknowledgement means, for people; only after `start`."""
        if isinstance(self._way, Remembered):
            return "in memory, lost with the process"
        if isinstance(self._way, Direct):
            return "delivered"
        after = self._queue.spill_after
        return f"delivered, or on disk after {after:g} s" if after else "on disk"

    async def start(self) -> None:
        """Open the exporter, and go on with what the journal has for it.

        Raises: ConfigError.
        """
        self._kept = kept = self._storage()
        self._way = self._choose(kept)
        await self._exporter.start()
        await self._way.start()
        if kept is not None and not isinstance(self._way, Journaled):
            self._leftovers = Pump(self._sending, kept)
            self._leftovers.start()

    async def consume(self, batch: Batch) -> None:
        outcomes = self._sending.outcomes
        outcomes.received(batch)
        try:
            if self._batcher is None:
                await self._way.consume(batch)
            else:
                await self._batcher.consume(batch)
        except Reject as error:
            outcomes.rejected(batch, error)
            raise
        except (Retry, asyncio.CancelledError):
            outcomes.returned(batch)
            raise

    async def stop(self) -> None:
        if self._batcher is not None:
            await self._batcher.stop()
        try:
            await self._way.stop()
            if self._leftovers is not None:
                await self._leftovers.stop()
        finally:
            await self._sending.alarms.stop()
            self._sending.outcomes.close()
            await self._exporter.stop()

    def _choose(self, kept: Kept | None) -> Direct | Journaled | Remembered:
        queue, sending = self._queue, self._sending
        if queue.acknowledge == "memory":
            return Remembered(sending, kept)
        wanted = self._retries or queue.storage is not None
        if kept is None or not queue.enabled or queue.wait_for_result or not wanted:
            return Direct(sending)
        return Journaled(sending, kept)

    def _storage(self) -> Kept | None:
        """Return this exporter's queue in the journal that its configuration says."""
        journal, storage = self._journal, self._queue.storage
        if storage is not None:
            type, _, name = storage.partition("/")
            extension: Any = self._settings.extensions.get(ComponentId(type, name))
            journal = getattr(extension, "journal", None)
            if journal is None:
                message = f"is '{storage}', which is no storage in service.extensions"
                problem = Problem("sending_queue.storage", message, fix="list it there")
                raise ConfigError([problem])
        if journal is None:
            return None
        return Kept(journal, str(self._settings.id), self._sending)

    def _make_batcher(self, config: QueueBatchConfig | None) -> Batcher | None:
        if config is None:
            return None
        return Batcher(
            self._deliver,
            Sizes(config.min_size, config.max_size, config.flush_timeout),
            self._settings.clock,
            keys=config.partition.metadata_keys,
            in_bytes=config.sizer == "bytes",
        )

    async def _deliver(self, batch: Batch) -> None:
        await self._way.consume(batch)

    def _measured(self) -> None:
        sending, telemetry = self._sending, self._settings.telemetry
        for name, read in (
            ("otelcol_exporter_queue_size", lambda: self._way.queue_size),
            ("otelcol_exporter_queue_capacity", lambda: self._way.queue_capacity),
            ("otelcol_exporter_in_flight_requests", lambda: sending.attempts.in_flight),
            ("heliograph_exporter_waiting_items", self._waiting),
            ("heliograph_exporter_oldest_seconds", self._oldest),
        ):
            telemetry.gauge(name, read, exporter=sending.name)

    def _waiting(self) -> int:
        """Items that were taken and are neither delivered nor dropped nor sent back."""
        return self._way.waiting + (self._kept.items if self._kept is not None else 0)

    def _oldest(self) -> float:
        """Seconds since the oldest acknowledged batch came that is not delivered."""
        kept = None if self._kept is None else self._kept.oldest_ns
        known = [time for time in (self._way.oldest_ns, kept) if time is not None]
        now = self._settings.clock.time_ns()
        return max((now - time) / 1e9 for time in known) if known else 0.0
