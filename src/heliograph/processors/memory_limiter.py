"""Refuse data while telemetry in this process takes too much memory.

YAML: ``processors: memory_limiter``, any signal; put it first. Fields: `Config`.
The reading is the resident size at start plus the telemetry bytes that the core counts: receive
windows, bodies, batches, sends. Near the limit, requests are refused at the door, before their
bodies are read; past it, not a byte more is taken in. The resident size stays within 1.17 times the
limit (150 MiB at ``limit_mib: 128``), because allocators keep some of what is freed.
Raises: Retry above ``limit - spike_limit``. Holds no data, drops none.
Source: the Collector's memorylimiterprocessor.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from heliograph._core import admission, release_freed_memory
from heliograph.errors import ConfigError, Problem, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Consumer, Settings
from heliograph.pipeline.fields import Duration, Field, Seconds
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import ITEMS

K = TypeVar("K")
V = TypeVar("V")

MIB = 2**20
SPIKE_SHARE = 5
"""The spike limit is this part of the limit where it is not given."""


class Config(ComponentConfig):
    """How much, and how often to look."""

    check_interval: Duration = Field(
        gt=0, description="Time between two readings; also what refused senders are told to wait."
    )
    limit_mib: int = Field(0, ge=0, description="Bound of this process.", unit="MiB")
    limit_percentage: int = Field(
        0, ge=0, le=100, description="The bound as a share of the memory there is.", unit="%"
    )
    spike_limit_mib: int = Field(
        0, ge=0, description="Refuse this far below the limit; a fifth of it when 0.", unit="MiB"
    )
    spike_limit_percentage: int = Field(
        0, ge=0, le=100, description="The same, with limit_percentage.", unit="%"
    )
    min_gc_interval_when_soft_limited: Duration = Field(
        "10s", ge=0, description="Least time between forced collections while refusing."
    )
    min_gc_interval_when_hard_limited: Duration = Field(
        "0s", ge=0, description="Least time between forced collections past the limit."
    )
    max_gc_interval_when_soft_limited: Duration = Field(
        "30s", ge=0, description="Accepted; collections here do not become rarer."
    )
    max_gc_interval_when_hard_limited: Duration = Field(
        "30s", ge=0, description="Accepted; collections here do not become rarer."
    )

    def check(self) -> Iterator[Problem]:
        if not self.limit_mib and not self.limit_percentage:
            yield Problem("limit_mib", "is not given, nor limit_percentage", fix="give one of them")
        if self.limit_mib and self.spike_limit_mib >= self.limit_mib:
            yield Problem(
                "spike_limit_mib",
                f"is {self.spike_limit_mib}, not below limit_mib ({self.limit_mib})",
                fix=f"use {self.limit_mib // SPIKE_SHARE} (a fifth of limit_mib)",
            )
        if self.limit_percentage and self.spike_limit_percentage >= self.limit_percentage:
            yield Problem(
                "spike_limit_percentage",
                f"is {self.spike_limit_percentage}, not below limit_percentage "
                f"({self.limit_percentage})",
                fix=f"use {self.limit_percentage // SPIKE_SHARE}",
            )
        soft = self.min_gc_interval_when_soft_limited
        if self.min_gc_interval_when_hard_limited > soft:
            yield Problem(
                "min_gc_interval_when_hard_limited",
                f"is longer than min_gc_interval_when_soft_limited ({soft:g}s)",
            )


class Core:
    """Decides; does nothing. Readings come in, decisions go out.

    Args:
        total: bytes of memory there are, for the percentages.
    """

    def __init__(self, config: Config, total: int) -> None:
        if config.limit_mib:
            self.limit = config.limit_mib * MIB
            spike = config.spike_limit_mib * MIB
        else:
            self.limit = total * config.limit_percentage // 100
            spike = total * config.spike_limit_percentage // 100
        self.soft = self.limit - (spike or self.limit // SPIKE_SHARE)
        self.refusing = False
        self._min_soft = config.min_gc_interval_when_soft_limited
        self._min_hard = config.min_gc_interval_when_hard_limited
        self._collected: Seconds | None = None

    def observe(self, used: int, now: Seconds) -> bool:
        """Take a reading in bytes; return whether to collect garbage now."""
        self.refusing = used > self.soft
        if not self.refusing:
            return False
        least = self._min_hard if used > self.limit else self._min_soft
        due = self._collected is None or now - self._collected >= least
        if due:
            self._collected = now
        return due


class Door:
    """The process's one door, which several limiters share: the strictest decides."""

    def __init__(self) -> None:
        self._limits: dict[object, int] = {}
        self._bases: dict[object, int] = {}
        self._refusals: dict[object, tuple[str, Seconds]] = {}

    @property
    def used(self) -> int:
        """Telemetry bytes that the core holds."""
        return admission().used

    def base(self) -> int:
        """Return the resident size without telemetry; with other limiters, when they started."""
        return next(iter(self._bases.values()), max(0, resident() - self.used))

    def bound(self, limiter: object, limit: int | None, base: int = 0) -> None:
        """Let the core hold so many bytes at most; None takes this limiter's bound away."""
        _put(self._bases, limiter, None if limit is None else base)
        _put(self._limits, limiter, limit)
        admission().limit = min(self._limits.values(), default=None)

    def refuse(self, limiter: object, refusal: tuple[str, Seconds] | None) -> None:
        """Turn requests away before they are read; None takes this limiter's refusal back."""
        _put(self._refusals, limiter, refusal)
        for reason, after in self._refusals.values():
            admission().refuse(reason, after)
            return
        admission().refuse(None)


DOOR = Door()


class Processor:
    """Async shell: owns the timer, the reading and the door."""

    signals = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES})

    def __init__(self, config: Config, settings: Settings, next: Consumer) -> None:
        self._core = Core(config, memory())
        self._interval = config.check_interval
        self._next = next
        self._clock = settings.clock
        self._say = Sparingly(settings.log, settings.clock.monotonic)
        self._base = 0
        self._task: asyncio.Task[None] | None = None
        item = ITEMS[settings.signal or Signal.TRACES]
        name = str(settings.id)
        counter = settings.telemetry.counter
        self._accepted = counter(
            f"otelcol_processor_memory_limiter_accepted_{item}", processor=name
        )
        self._refused = counter(f"otelcol_processor_memory_limiter_refused_{item}", processor=name)

    async def start(self) -> None:
        if not self._core.limit:
            what = "is of an amount that this system does not tell"
            raise ConfigError([Problem("limit_percentage", what, fix="give limit_mib instead")])
        self._base = DOOR.base()
        if self._base >= self._core.soft:
            raise ConfigError([self._too_small()])
        DOOR.bound(self, self._core.limit - self._base, self._base)
        self._task = asyncio.create_task(self._watch())

    async def consume(self, batch: Batch) -> None:
        if self._core.refusing:
            self._refused.value += batch.items
            raise Retry(self._reason(), after=self._interval)
        await self._next.consume(batch)
        self._accepted.value += batch.items

    async def stop(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._core.refusing = False
        DOOR.refuse(self, None)
        DOOR.bound(self, None)

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(self._interval)
            refused = self._core.refusing
            if self._core.observe(self._base + DOOR.used, self._clock.monotonic()):
                gc.collect()
            if resident() > self._core.soft:
                release_freed_memory()
            if self._core.refusing != refused:
                self._turn()

    def _turn(self) -> None:
        """Close the door, or open it."""
        if self._core.refusing:
            DOOR.refuse(self, (self._reason(), self._interval))
            self._say.warning("full", f"{self._reason()}; senders are told to come again")
        else:
            DOOR.refuse(self, None)
            self._say.warning("free", "memory use is low enough again; taking data")

    def _reason(self) -> str:
        return f"memory use is above {self._core.soft // MIB} MiB"

    def _too_small(self) -> Problem:
        needed = self._base // MIB + 1
        return Problem(
            "",
            f"leaves no room: this process takes {needed} MiB before any data, and refuses above "
            f"{self._core.soft // MIB} MiB",
            fix=f"use a limit_mib of {needed * 2} or more",
        )


def memory() -> int:
    """Return the bytes of memory that this process may use: its control group's, or all; 0 where
    that is not known."""
    limits = [_number(Path("/proc/meminfo"), "MemTotal:") * 1024]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limits.append(_number(Path(path)))
    return min((limit for limit in limits if limit), default=0)


def resident() -> int:
    """Return the bytes of memory that this process has now."""
    return _number(Path("/proc/self/status"), "VmRSS:") * 1024


def _number(path: Path, key: str = "") -> int:
    """Return the first number of a file, or of its line that starts with ``key``; 0 if none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    words = next((line for line in lines if line.startswith(key)), "").split()
    return next((int(word) for word in words if word.isdecimal()), 0)


def _put(kept: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        kept.pop(key, None)
    else:
        kept[key] = value
