"""What an exporter that sends over a network can be told about retrying, waiting and merging."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from heliograph.errors import Problem
from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.fields import Duration, Field

_ONE = "remove one of them"


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
        None, ge=0, description="Drop what is older, counted; never when not given or 0."
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
    """``sending_queue``: concurrency, who may wait for it, and where."""

    enabled: bool = Field(
        True, description="Bound concurrency and waiting; without it every sender goes through."
    )
    num_consumers: int | None = Field(
        None,
        ge=1,
        description="Requests in flight at a time. When not given: 10 from the queue, and 40 whose "
        "senders wait.",
    )
    queue_size: int | None = Field(
        None,
        ge=1,
        description="Bound of what waits, on disk too, counted by sizer. When not given: 64 MiB in "
        "memory, and what the journal takes.",
    )
    sizer: Literal["requests", "items", "bytes"] = Field(
        "requests", description="What queue_size counts."
    )
    block_on_overflow: bool = Field(
        False, description="Let senders wait when the queue is full, instead of sending them away."
    )
    wait_for_result: bool = Field(
        False, description="Acknowledge only what was delivered; nothing is kept on disk."
    )
    acknowledge: Literal["delivered", "memory"] = Field(
        "delivered",
        description="When senders hear 'accepted': once delivered or on disk, or already when it "
        "is in memory, which a crash loses.",
    )
    spill_after: Duration = Field(
        "1s", ge=0, description="What is not delivered by then goes to disk; 0s: all does, first."
    )
    batch: QueueBatchConfig | None = Field(
        None, description="Merge requests that wait; off when not given."
    )
    storage: str | None = Field(
        None,
        description="Extension that keeps what waits on disk; the default journal when not given.",
    )

    def check(self) -> Iterator[Problem]:
        if self.acknowledge == "memory":
            if self.wait_for_result:
                yield Problem("wait_for_result", "contradicts acknowledge: memory", fix=_ONE)
            if self.storage is not None:
                yield Problem("storage", "contradicts acknowledge: memory", fix=_ONE)
        elif self.wait_for_result and self.storage is not None:
            yield Problem("wait_for_result", "cannot be used together with storage", fix=_ONE)


class DeliveryConfig(ComponentConfig):
    """What every exporter that sends over a network takes."""

    timeout: Duration = Field("5s", ge=0, description="Bound of one attempt; 0 for none.")
    retry_on_failure: RetryConfig = Field(
        RetryConfig(), description="Back-off after failures that may pass."
    )
    sending_queue: QueueConfig = Field(
        QueueConfig(), description="Concurrency, and who may wait for it."
    )


def keeps(config: object) -> bool:
    """Whether an exporter of this configuration may use the journal of the process."""
    if not isinstance(config, DeliveryConfig):
        return False
    queue = config.sending_queue
    return queue.enabled and queue.storage is None and not queue.wait_for_result
