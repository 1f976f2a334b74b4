"""What stands around an exporter: waiting room, concurrency, time-out, back-off.

::

    consume ─▶ batch? ─▶ waiting room ─▶ slot (num_consumers) ─▶ attempt (timeout) ─▶ exporter
                              ▲                                        │ Retry
                              └────────────── back-off ◀───────────────┘

Until there is a journal, an acknowledgement means delivered: a batch stays at most `PATIENCE`, less
if its sender's deadline is nearer; then the sender hears `Retry` and keeps it. A sender that is
cancelled takes its batch with it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from heliograph.errors import Problem, Reject, Retry
from heliograph.otlp import Batch
from heliograph.pipeline.backoff import Gate, Intervals
from heliograph.pipeline.batching import Batcher, Sizes
from heliograph.pipeline.component import ComponentConfig, Exporter, Settings
from heliograph.pipeline.fields import Duration, Field
from heliograph.pipeline.outcomes import Outcomes, passing

PATIENCE = 5.0
"""Seconds that a sender waits at most."""

ROOM = 64 * 2**20
"""Bytes that may wait for one exporter where ``queue_size`` is not written."""

_SWEEP = 0.25
_AT_ONCE = Intervals(initial=0.0)


class RetryConfig(ComponentConfig):
    """``retry_on_failure``: what happens after a failure that may pass."""

    enabled: bool = Field(True, description="Try again here, while the sender waits.")
    initial_interval: Duration = Field(
        "5s", ge=0, description="Wait after the first failure of a batch."
    )
    multiplier: float = Field(1.5, ge=0, description="Growth of the wait from failure to failure.")
    randomization_factor: float = Field(
        0.5, ge=0, le=1, description="Spread of each wait, as a share of it in both directions."
    )
    max_interval: Duration = Field("30s", ge=0, description="Longest wait.")
    max_elapsed_time: Duration | None = Field(
        None, ge=0, description="Give up after so long; never when not given or 0."
    )

    def check(self) -> Iterator[Problem]:
        limit = self.max_elapsed_time
        if not self.enabled or not limit:
            return
        for name in ("initial_interval", "max_interval"):
            value = getattr(self, name)
            if limit < value:
                yield Problem(
                    "max_elapsed_time",
                    f"is {limit:g}s, below {name} ({value:g}s)",
                    fix=f"use {value:g}s or more, or 0 to never give up",
                )


class PartitionConfig(ComponentConfig):
    """``sending_queue.batch.partition``."""

    metadata_keys: list[str] = Field(
        [], description="Merge only requests with equal values of these request metadata."
    )


class QueueBatchConfig(ComponentConfig):
    """``sending_queue.batch``: merging in front of the exporter."""

    flush_timeout: Duration = Field(
        "200ms", gt=0, description="Longest wait of a request for the one in flight before it."
    )
    min_size: int = Field(8192, ge=0, description="Send at once when so much waits.")
    max_size: int = Field(0, ge=0, description="Largest merged request; 0 for no bound.")
    sizer: Literal["items", "bytes"] = Field(
        "items", description="What min_size and max_size count."
    )
    partition: PartitionConfig = Field(
        PartitionConfig(), description="What may be merged with what."
    )

    def check(self) -> Iterator[Problem]:
        if self.max_size and self.max_size < self.min_size:
            yield Problem(
                "max_size",
                f"is {self.max_size}, below min_size ({self.min_size})",
                fix=f"use {self.min_size} or more, or 0 for no bound",
            )


class QueueConfig(ComponentConfig):
    """``sending_queue``: concurrency, and who may wait for it."""

    enabled: bool = Field(
        True, description="Bound concurrency and waiting; without it every sender goes through."
    )
    num_consumers: int = Field(10, ge=1, description="Requests in flight at a time.")
    queue_size: int | None = Field(
        None,
        ge=1,
        description="Bound of what waits, counted by sizer; 64 MiB of requests when not given.",
    )
    sizer: Literal["requests", "items", "bytes"] = Field(
        "requests", description="What queue_size counts."
    )
    block_on_overflow: bool = Field(
        False, description="Let senders wait when the queue is full, instead of sending them away."
    )
    wait_for_result: bool = Field(
        False, description="Acknowledge only what was delivered; so far always the case."
    )
    batch: QueueBatchConfig | None = Field(
        None, description="Merge requests that wait; off when not given."
    )
    storage: str | None = Field(None, description="Extension that keeps what waits on disk.")

    def check(self) -> Iterator[Problem]:
        if self.storage is not None:
            yield Problem(
                "storage",
                "is not supported yet: there is no journal on disk in this version",
                fix="remove it; senders are told to try again until their data is delivered",
            )


class DeliveryConfig(ComponentConfig):
    """What every exporter that sends over a network takes."""

    timeout: Duration = Field("5s", ge=0, description="Bound of one attempt; 0 for none.")
    retry_on_failure: RetryConfig = Field(
        RetryConfig(), description="Back-off after failures that may pass."
    )
    sending_queue: QueueConfig = Field(
        QueueConfig(), description="Concurrency, and who may wait for it."
    )


@dataclass(eq=False)
class _Place:
    """A batch that waits for a slot, or an attempt that waits for its end."""

    task: asyncio.Task[None] | None
    leave_by: float
    turn: asyncio.Future[None] | None = None
    expired: bool = False


class Delivery:
    """Waiting room, concurrency, time-out and back-off of one exporter."""

    def __init__(self, exporter: Exporter, config: DeliveryConfig, settings: Settings) -> None:
        self._export = exporter.consume
        self._exporter = exporter
        self._clock = settings.clock
        self._now = settings.clock.monotonic
        self._name = str(settings.id)
        self._outcomes = Outcomes(settings)
        queue, retry = config.sending_queue, config.retry_on_failure
        self._retry = retry
        self._intervals = Intervals(
            retry.initial_interval,
            retry.multiplier,
            retry.randomization_factor,
            retry.max_interval,
        )
        self._gate = Gate(self._intervals if retry.enabled else _AT_ONCE, random.random)
        self._timeout = config.timeout
        self._free = queue.num_consumers if queue.enabled else 1 << 40
        self._bound = ROOM if queue.queue_size is None else queue.queue_size
        self._sizer = "bytes" if queue.queue_size is None else queue.sizer
        self._block = queue.block_on_overflow
        self._waiting_size = 0
        self._turns: deque[_Place] = deque()
        self._attempts: dict[int, _Place] = {}
        self._serial = 0
        self._sweeper: asyncio.Task[None] | None = None
        self._batcher = self._make_batcher(queue.batch)
        for name, read in (
            ("queue_size", lambda: self._waiting_size),
            ("queue_capacity", lambda: self._bound),
            ("in_flight_requests", lambda: len(self._attempts)),
        ):
            settings.telemetry.gauge(f"otelcol_exporter_{name}", read, exporter=self._name)

    async def start(self) -> None:
        await self._exporter.start()

    async def consume(self, batch: Batch) -> None:
        if self._batcher is None:
            await self._deliver(batch)
        else:
            await self._batcher.consume(batch)

    async def stop(self) -> None:
        if self._batcher is not None:
            await self._batcher.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
        await self._exporter.stop()

    def _make_batcher(self, config: QueueBatchConfig | None) -> Batcher | None:
        if config is None:
            return None
        return Batcher(
            self._deliver,
            Sizes(config.min_size, config.max_size, config.flush_timeout),
            self._clock,
            keys=config.partition.metadata_keys,
            in_bytes=config.sizer == "bytes",
        )

    async def _deliver(self, batch: Batch) -> None:
        arrived = started = self._now()
        attempts = 0
        delay = 0.0
        while True:
            if delay or not self._free or self._gate.failing:
                await self._wait(batch, delay, arrived)
                started = self._now()
            else:
                self._free -= 1
            try:
                await self._attempt(batch, started)
            except Retry as error:
                failure = error
            except Reject as error:
                self._outcomes.rejected(batch, error)
                raise
            except Exception as error:
                failed = passing(error)
                if failed is None:
                    raise self._outcomes.broken(batch, error) from error
                failure = failed
            else:
                if self._gate.failing:
                    self._gate.succeeded()
                self._outcomes.sent(batch)
                return
            finally:
                self._release()
            attempts += 1
            delay = self._back_off(batch, failure, attempts, started, arrived)

    async def _attempt(self, batch: Batch, started: float) -> None:
        """Try once.

        Raises: Retry also when the exporter takes longer than the time-out.
        """
        if not self._timeout:
            await self._export(batch)
            return
        place = _Place(asyncio.current_task(), started + self._timeout)
        self._serial = serial = self._serial + 1
        self._attempts[serial] = place
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())
        try:
            await self._export(batch)
        except asyncio.CancelledError:
            if place.expired and place.task is not None and not place.task.uncancel():
                raise Retry(f"no answer within {self._timeout:g} s") from None
            raise
        finally:
            del self._attempts[serial]

    async def _wait(self, batch: Batch, delay: float, arrived: float) -> None:
        """Take a place in the waiting room for the back-off and until a slot is free.

        Raises: Retry when the room is full, or the wait would be longer than the sender's.
        """
        now = self._now()
        delay = max(delay, self._gate.wait(now))
        leave_by = _leave_by(batch, arrived)
        if now + delay > leave_by:
            failure = self._outcomes.failing
            raise Retry(failure.reason if failure else "the exporter is busy", after=delay)
        if not delay and self._free:
            self._free -= 1
            return
        size = self._size(batch)
        if self._waiting_size and self._waiting_size + size > self._bound and not self._block:
            self._outcomes.refused(batch)
            raise Retry(f"too much waits for {self._name} already")
        self._waiting_size += size
        try:
            if delay:
                await self._clock.sleep(delay)
            await self._slot(leave_by)
        finally:
            self._waiting_size -= size

    async def _slot(self, leave_by: float) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        place = _Place(None, leave_by, turn)
        self._turns.append(place)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._release()
            raise

    def _release(self) -> None:
        """Hand the slot to whoever waited longest."""
        while self._turns:
            turn = self._turns.popleft().turn
            if turn is not None and not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    async def _sweep(self) -> None:
        """End attempts and waits whose time is over, for as long as there are some."""
        tick = min(_SWEEP, self._timeout / 4) if self._timeout else _SWEEP
        while self._attempts or self._turns:
            await self._clock.sleep(tick)
            now = self._now()
            for place in list(self._attempts.values()):
                if place.leave_by > now:
                    break
                if not place.expired and place.task is not None:
                    place.expired = True
                    place.task.cancel()
            for place in [place for place in self._turns if place.leave_by <= now]:
                self._turns.remove(place)
                if place.turn is not None and not place.turn.done():
                    place.turn.set_exception(Retry(f"{self._name} is busy"))
        self._sweeper = None

    def _back_off(
        self, batch: Batch, failure: Retry, attempts: int, started: float, arrived: float
    ) -> float:
        """Note a failure that may pass; return the wait before the next attempt.

        Raises: Retry when the sender will not wait that long, or does not want us to.
        """
        now = self._now()
        self._gate.failed(started, now, failure.after)
        self._outcomes.transient(failure.reason)
        delay = max(
            self._intervals.after(attempts, random.random),
            failure.after or 0.0,
            self._gate.wait(now),
        )
        end = _leave_by(batch, arrived)
        if self._retry.max_elapsed_time:
            end = min(end, arrived + self._retry.max_elapsed_time)
        if not self._retry.enabled or now + delay > end:
            self._outcomes.sent_back(batch)
            raise Retry(failure.reason, failure.after or self._gate.wait(now) or None)
        return delay

    def _size(self, batch: Batch) -> int:
        if self._sizer == "bytes":
            return batch.nbytes
        return 1 if self._sizer == "requests" else batch.items


def _leave_by(batch: Batch, arrived: float) -> float:
    """Return when the sender will have gone."""
    deadline = batch.context.deadline
    return arrived + PATIENCE if deadline is None else min(arrived + PATIENCE, deadline)
