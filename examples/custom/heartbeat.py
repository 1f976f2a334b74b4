"""Send a log record every so often, to see that a pipeline is alive.

YAML: ``receivers: heartbeat``, logs, after ``service: {components: [heartbeat.py]}``.
Fields: `Config`. A beat that cannot be delivered is left out: the next one says the same.
"""

import asyncio
import json
from collections.abc import Mapping

from heliograph.errors import DeliveryError
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Consumer, Settings
from heliograph.pipeline.fields import Duration, Field


class Config(ComponentConfig):
    """What to say, and how often."""

    interval: Duration = Field("10s", gt=0, description="Time between two records.")
    body: str = Field("alive", description="What the records say.")


class Receiver:
    """One task; everything else is the pipeline's business."""

    signals = frozenset({Signal.LOGS})

    def __init__(self, config: Config, settings: Settings, next: Mapping[Signal, Consumer]) -> None:
        self._config = config
        self._clock = settings.clock
        self._log = settings.log
        self._next = next[Signal.LOGS]
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _beat(self) -> None:
        while True:
            try:
                await self._next.consume(self._record())
            except DeliveryError as error:
                self._log.warning("a beat was left out: %s", error.reason)
            await self._clock.sleep(self._config.interval)

    def _record(self) -> Batch:
        now = str(self._clock.time_ns())
        body = {"stringValue": self._config.body}
        record = {"timeUnixNano": now, "severityNumber": 9, "body": body}
        request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
        return Batch.from_json(json.dumps(request).encode(), Signal.LOGS)
