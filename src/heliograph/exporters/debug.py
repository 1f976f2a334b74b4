"""Print telemetry for people who look for something.

YAML: ``exporters: debug``, any signal. Fields: `Config`. ``basic`` says how much came, ``normal``
adds about a line an item, ``detailed`` everything an item has, in the Go collector's words; of
profiles only their size. Works on the OTLP/JSON of a batch, item by item: a debugging aid, not a
way to keep telemetry. Delivers always.
Source: the Collector's debugexporter.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import IO, Any, ClassVar

from heliograph.errors import ConfigError, Problem
from heliograph.exporters import _detailed, _normal
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Settings
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
    if batch.signal == Signal.PROFILES:
        return [f"Profiles {json.dumps({'bytes': batch.nbytes})}"]
    request = json.loads(batch.json())
    entries = [_summary(batch, request)]
    lines = _LINES.get((batch.signal, verbosity))
    if lines is not None:
        entries.append("\n".join(lines(request)))
    return entries


def _summary(batch: Batch, request: dict[str, Any]) -> str:
    resources: list[Any] = next(iter(request.values()), [])
    if batch.signal == Signal.TRACES:
        counts = {"resource spans": len(resources), "spans": batch.items}
        return f"Traces {json.dumps(counts)}"
    if batch.signal == Signal.LOGS:
        counts = {"resource logs": len(resources), "log records": batch.items}
        return f"Logs {json.dumps(counts)}"
    scopes = [scope for resource in resources for scope in resource.get("scopeMetrics", ())]
    metrics = [metric for scope in scopes for metric in scope.get("metrics", ())]
    forms = [form for metric in metrics for form in metric.values() if isinstance(form, dict)]
    counts = {
        "resource metrics": len(resources),
        "metrics": len(metrics),
        "data points": sum(len(form.get("dataPoints", ())) for form in forms),
    }
    return f"Metrics {json.dumps(counts)}"


class Exporter:
    """Renders on a thread, so that large batches do not hold the loop."""

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
