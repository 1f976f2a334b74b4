"""When to reload, and what is said about it: SIGHUP, ``--watch`` and the control socket meet here.

The configuration is read again from where it came. One that cannot be used changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.errors import ConfigError, HeliographError, Problem
from heliograph.pipeline import activation, default_journal, logs
from heliograph.pipeline.config import Config, Telemetry
from heliograph.pipeline.config.load import Loader
from heliograph.pipeline.exchange import Exchange
from heliograph.pipeline.graph import DRAIN, Graph
from heliograph.pipeline.redaction import redact
from heliograph.pipeline.reuse import Change, alike


class ReloadError(HeliographError):
    """There was no reload; what runs goes on as it is."""


class Reloader:
    """Keeps a graph in step with its configuration. ``graph`` is the one that runs."""

    def __init__(self, graph: Graph, log: logging.Logger) -> None:
        self.graph = graph
        self.files: tuple[Path, ...] = graph.config.files
        """What has been read, to be watched."""
        self._log = log
        self._one = asyncio.Lock()
        self._next: asyncio.Task[dict[str, Any]] | None = None
        self._turns: set[asyncio.Task[Any]] = set()
        self._rest: set[asyncio.Task[Any]] = set()
        self._begun = asyncio.Event()
        self._closed = False

    def begin(self) -> None:
        """The graph has started; who asked for a reload meanwhile gets it now."""
        self._begun.set()

    async def reload(self, why: str) -> dict[str, Any]:
        """Read the configuration again and do what it says; return what became of whom.

        While one reload is under way, all others wait for one more.
        Raises: HeliographError when nothing was changed.
        """
        if self._closed:
            raise ReloadError("the collector is stopping")
        if self._next is None:
            self._next = _among(self._turns, self._turn(why))
        return await asyncio.shield(self._next)

    def soon(self, why: str) -> None:
        """Reload without waiting for it."""
        _among(self._rest, self.try_to(why))

    async def try_to(self, why: str) -> None:
        """Reload; if that fails, the log has it."""
        try:
            await self.reload(why)
        except HeliographError:
            self._log.debug("that reload has failed")

    async def stop(self, within: float = DRAIN) -> bool:
        """Reload no more, and stop the graph; True when all went well."""
        self._closed = True
        for turn in self._turns:
            turn.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)
        clean, *_ = await asyncio.gather(
            self.graph.stop(within), *self._rest, return_exceptions=True
        )
        return clean is True

    async def _turn(self, why: str) -> dict[str, Any]:
        await self._begun.wait()
        async with self._one:
            self._next = None
            activation.notify(activation.reloading())
            try:
                return await self._reload(why)
            except ConfigError as error:
                self._log.error("%s: not reloaded, nothing has changed:\n%s", why, error)
                raise
            except Exception as error:
                self._log.exception("%s: not reloaded, nothing has changed", why)
                raise ReloadError(f"{type(error).__name__}: {error}") from error
            finally:
                activation.notify("READY=1")

    async def _reload(self, why: str) -> dict[str, Any]:
        old = self.graph.config
        new = await self._read(old)
        handlers = None
        if not alike(old.telemetry.logs, new.telemetry.logs):
            handlers = _open(new)
        exchange = Exchange(self.graph)
        try:
            graph = await exchange.start(new)
        except BaseException:
            logs.close(handlers or ())
            raise
        change = exchange.switch()
        if handlers is not None:
            logs.set_up(new.telemetry.logs, handlers)
        self.graph = graph
        for problem in new.warnings:
            self._log.warning("%s", problem)
        _among(self._rest, self._retire(exchange))
        notes = [
            *unapplied(old.telemetry, new.telemetry),
            *default_journal.reloaded(graph.surroundings.journal, old, new),
        ]
        self._say(why, change, notes)
        for line in flows(new, old):
            self._log.info("%s", line)
        return {**vars(change), "notes": notes}

    async def _read(self, old: Config) -> Config:
        loader = Loader(old.sources, old.sets, old.gates)
        new = await asyncio.to_thread(loader.config)
        self.files = tuple(dict.fromkeys([*loader.files, *(() if new else self.files)]))
        redact.hide(*(loader.hidden() if new is None else new.secrets))
        if new is None:
            raise ConfigError(loader.problems)
        return new

    async def _retire(self, exchange: Exchange) -> None:
        await exchange.retire()
        for given in self.graph.surroundings.listeners.unused():
            self._log.warning("nobody uses the socket %s, which was handed in", given)

    def _say(self, why: str, change: Change, notes: Iterable[str]) -> None:
        done = [line for line in change.lines() if not line.startswith("kept")]
        self._log.info("%s: reloaded; %s", why, "; ".join(done) or "no component had to restart")
        for note in notes:
            self._log.warning("%s", note)


def _among(tasks: set[asyncio.Task[Any]], work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Begin some work that nobody has to wait for."""

    def ended(task: asyncio.Task[Any]) -> None:
        tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits hears of it; the log has it anyway

    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(ended)
    return task


def flows(config: Config, before: Config | None = None) -> Iterator[str]:
    """Yield a line for each pipeline, or for those that are not as before: what flows where."""
    for pipeline in config.pipelines.values():
        steps = [pipeline.receivers, *((id,) for id in pipeline.processors), pipeline.exporters]
        old = None if before is None else before.pipelines.get(pipeline.id)
        if old is None or replace(old, place=pipeline.place) != pipeline:
            flow = " → ".join(", ".join(map(str, step)) for step in steps)
            yield f"pipeline {pipeline.id}: {flow}"


def unapplied(old: Telemetry, new: Telemetry) -> Iterable[str]:
    """Yield what a reload leaves as it was, and what to do."""
    for part in ("metrics", "traces", "resource"):
        if not alike(getattr(old, part), getattr(new, part)):
            yield f"service.telemetry.{part} has changed; restart to apply it"
    if not alike(old.logs.pushes, new.logs.pushes):
        yield "service.telemetry.logs.processors has changed; restart to apply it"


def _open(config: Config) -> list[logging.Handler]:
    try:
        return logs.open_handlers(config.telemetry.logs)
    except OSError as error:
        path = "service.telemetry.logs.output_paths"
        raise ConfigError([config.placed(Problem(path, str(error)))]) from None
