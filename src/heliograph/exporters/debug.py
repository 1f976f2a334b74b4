"""Print telemetry for people who look for something.

YAML: ``exporters: debug``, any signal. Fields: `Config`. ``basic`` says how much came, ``normal``
adds about a line an item, ``detailed`` everything an item has, in the Go collector's words; of
profiles only their size. Items are printed from the OTLP/JSON of a batch, one by one: a debugging
aid, not a way to keep telemetry. Delivers always.
Source: the Collector's debugexporter.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import IO, Any, ClassVar

from heliograph.errors import ConfigError, Problem, WireError
from heliograph.exporters import _detailed, _normal
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.delivery_config import QueueConfig
from heliograph.pipeline.fields import Field


class Verbosity(StrEnum):
    """How much is printed."""

    BASIC = "basic"
    NORMAL = "normal"
    DETAILED = "detailed"


class Config(ComponentConfig):
    verbosity: Verbosity = Field(
        Verbosity.BASIC, description="basic (counts), normal (a line an item) or detailed."
    )
    sampling_initial: int = Field(
        2, ge=0, description="Batches of each signal printed in every second before sampling."
    )
    sampling_thereafter: int = Field(
        1, ge=0, description="Of the batches after those every so-many-th is printed; 0 is none."
    )
    use_internal_logger: bool = Field(
        True, description="Print into the program's own log, at its level INFO."
    )
    output_paths: tuple[str, ...] = Field(
        ("stdout",), description="Where to print otherwise: stdout, stderr or paths of files."
    )
    sending_queue: QueueConfig = Field(
        QueueConfig(), description="Taken; nothing waits for a print."
    )

    def check(self) -> Iterator[Problem]:
        if not self.use_internal_logger and not self.output_paths:
            yield Problem("output_paths", "is empty", fix="name stdout, stderr or a file")
        if self.use_internal_logger and self.output_paths != ("stdout",):
            yield Problem(
                "output_paths",
                "has no effect while use_internal_logger is true",
                fix="set use_internal_logger: false",
            )


class Core:
    """Decides which batches are printed: per signal and second the first few, then every n-th."""

    def __init__(self, initial: int, thereafter: int) -> None:
        self._initial = initial
        self._thereafter = thereafter
        self._seen: dict[Signal, tuple[int, int]] = {}

    def keep(self, signal: Signal, now: float) -> bool:
        """Count a batch that came at ``now`` (monotonic seconds); return whether to print it."""
        second, count = self._seen.get(signal, (-1, 0))
        count = count + 1 if second == int(now) else 1
        self._seen[signal] = (int(now), count)
        beyond = count - self._initial
        return beyond <= 0 or (self._thereafter > 0 and beyond % self._thereafter == 0)


_LINES: dict[tuple[Signal, Verbosity], Callable[[Any], Iterator[str]]] = {
    (Signal.TRACES, Verbosity.NORMAL): _normal.traces,
    (Signal.METRICS, Verbosity.NORMAL): _normal.metrics,
    (Signal.LOGS, Verbosity.NORMAL): _normal.logs,
    (Signal.TRACES, Verbosity.DETAILED): _detailed.traces,
    (Signal.METRICS, Verbosity.DETAILED): _detailed.metrics,
    (Signal.LOGS, Verbosity.DETAILED): _detailed.logs,
}


def render(batch: Batch, verbosity: Verbosity) -> list[str]:
    """Return the entries to print: the summary, and what the verbosity adds to it."""
    entries = [_summary(batch)]
    lines = _LINES.get((batch.signal, verbosity))
    if lines is None:
        return entries
    try:
        entries.append("\n".join(lines(json.loads(batch.json()))))
    except WireError as error:
        entries.append(f"cannot be printed: {error}")
    return entries


def _summary(batch: Batch) -> str:
    if batch.signal == Signal.PROFILES:
        return f"Profiles {json.dumps({'bytes': batch.nbytes})}"
    title, resources, items = _COUNTS[batch.signal]
    counts = {resources: batch.frame(level="resource").height}
    if batch.signal == Signal.METRICS:
        counts["metrics"] = batch.frame(level="metric").height
    return f"{title} {json.dumps(counts | {items: batch.items})}"


_COUNTS = {
    Signal.TRACES: ("Traces", "resource spans", "spans"),
    Signal.METRICS: ("Metrics", "resource metrics", "data points"),
    Signal.LOGS: ("Logs", "resource logs", "log records"),
}


class Exporter:
    """Renders items on a thread, so that large batches do not hold the loop."""

    signals: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES}
    )

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._id = settings.id
        self._log = settings.log
        self._now = settings.clock.monotonic
        self._core = Core(config.sampling_initial, config.sampling_thereafter)
        self._files: list[IO[str]] = []
        self._outputs: list[IO[str]] = []

    async def start(self) -> None:
        if self._config.use_internal_logger:
            return
        standard = {"stdout": sys.stdout, "stderr": sys.stderr}
        for path in self._config.output_paths:
            if path in standard:
                self._outputs.append(standard[path])
                continue
            try:
                file = open(path, "a", encoding="utf-8")  # noqa: SIM115, ASYNC230 - closed in stop
            except OSError as error:
                problem = Problem(f"exporters.{self._id}.output_paths", f"{path}: {error.strerror}")
                raise ConfigError([problem]) from None
            self._files.append(file)
            self._outputs.append(file)

    async def consume(self, batch: Batch) -> None:
        if not self._core.keep(batch.signal, self._now()):
            return
        if self._config.verbosity == Verbosity.BASIC:
            entries = render(batch, Verbosity.BASIC)
        else:
            entries = await asyncio.to_thread(render, batch, self._config.verbosity)
        if self._config.use_internal_logger:
            for entry in entries:
                self._log.info("%s", entry)
            return
        text = "".join(f"{entry}\n" for entry in entries)
        for output in self._outputs:
            output.write(text)
            output.flush()

    async def stop(self) -> None:
        for file in self._files:
            file.close()
        self._files.clear()
        self._outputs.clear()
