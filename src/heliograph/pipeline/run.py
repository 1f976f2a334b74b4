"""The collector's process: from a configuration to an exit status."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import sys
from collections.abc import AsyncIterator
from typing import IO, Any

from heliograph._core import keep_freed_memory
from heliograph.errors import ConfigError
from heliograph.pipeline import changes, default_journal, system
from heliograph.pipeline.activation import inherited, notify
from heliograph.pipeline.component import Edge
from heliograph.pipeline.config import Config
from heliograph.pipeline.control import Control, Handler
from heliograph.pipeline.graph import DRAIN, Graph
from heliograph.pipeline.journal import Journal
from heliograph.pipeline.listeners import Listeners
from heliograph.pipeline.logs import set_up
from heliograph.pipeline.own.service import OwnTelemetry
from heliograph.pipeline.redaction import guard, guard_loop, redact
from heliograph.pipeline.reload import Reloader, flows
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.state import CONTROL, StateDirectory, claim
from heliograph.pipeline.status import snapshot
from heliograph.pipeline.watch import LoopWatch

OK = 0
FAILED = 1
YOUNG = 20_000
"""Objects that may come up before the youngest are looked through for garbage: thousands of
requests in flight are none, and looking through them again and again cost a third of the time."""


def run(
    config: Config, *, drain: float = DRAIN, watch: bool = False, errors: IO[str] | None = None
) -> int:
    """Run until SIGTERM, SIGINT or a component's failure; return the exit status.

    SIGHUP, the control socket and, with ``watch``, a change of its files reload the configuration.

    0 after a signal and a clean stop; 1 when the world does not fit the configuration (printed to
    ``errors``), when a component failed, or when draining took longer than ``drain`` seconds. A
    second signal ends draining at once.
    """
    keep_freed_memory()
    gc.set_threshold(YOUNG, 10, 10)
    redact.hide(*config.secrets)
    with contextlib.suppress(OSError, ValueError, AttributeError):  # standard error may be closed
        faulthandler.enable()
    try:
        log = set_up(config.telemetry.logs)
    except OSError as error:
        print(f"service.telemetry.logs.output_paths: {error}", file=errors or sys.stderr)
        return FAILED
    guard(log)
    for problem in config.warnings:
        log.warning("%s", problem)
    try:
        with asyncio.Runner(loop_factory=system.LOOP) as runner:
            return runner.run(_serve(config, log, drain, watch))
    except ConfigError as error:
        placed = ConfigError(config.placed(problem) for problem in error.problems)
        print(redact(str(placed)), file=errors or sys.stderr)
        return FAILED


async def _serve(config: Config, log: logging.Logger, drain: float, watch: bool) -> int:
    loop = asyncio.get_running_loop()
    guard_loop(loop, log)
    listeners = Listeners(inherited(os.environ, log))
    edge = Edge(loop, log)
    state = _state(config, log)
    journal = None
    try:
        journal = default_journal.opened(config, state, edge, log)
        own = OwnTelemetry(config.telemetry, edge, log)
        if journal is not None:
            journal.measure(own.telemetry)
        graph = Graph(
            config,
            edge,
            telemetry=own.telemetry,
            log=log,
            listeners=listeners,
            journal=journal,
            tracer=own.tracer,
        )
        held = LoopWatch(graph.owner, graph.telemetry, Sparingly(log, loop.time))
        ended = asyncio.Event()
        hurry = asyncio.Event()
        reloader = Reloader(graph, log)
        _on_signals(loop, log, ended, hurry, reloader)
        try:
            await own.start()
            await graph.start()
            gc.collect()
            gc.freeze()  # a full collection of all that was imported would hold the loop
            held.start()
            async with _reloading(reloader, state, log, watch):
                for given in listeners.unused():
                    log.warning("nobody uses the socket %s, which was handed in", given)
                _introduce(graph, journal, log)
                reloader.begin()
                notify("READY=1")
                status = await _until(ended, graph, log)
                notify("STOPPING=1")
            return status if await _drain(reloader, hurry, drain, log) else FAILED
        finally:
            held.stop()
            await own.stop()
    finally:
        if journal is not None:
            await journal.close()
        edge.close()
        if state is not None:
            state.release()


def _state(config: Config, log: logging.Logger) -> StateDirectory | None:
    try:
        return claim(config.sources)
    except OSError as error:
        fix = "set HELIOGRAPH_STATE_DIR to a directory that can be written"
        log.warning("no control socket: %s; %s", error, fix)
        return None


@contextlib.asynccontextmanager
async def _reloading(
    reloader: Reloader, state: StateDirectory | None, log: logging.Logger, watch: bool
) -> AsyncIterator[None]:
    """Have others ask for reloads, and files if they are to be watched."""
    control = None
    if state is not None:
        handlers: dict[str, Handler] = {
            "reload": lambda _: reloader.reload("control socket"),
            "status": lambda _: _status(reloader),
        }
        control = Control(state.path / CONTROL, handlers, log)
        try:
            await control.start()
        except OSError as error:
            log.warning("no control socket: %s", error)
        else:
            log.info("control socket: %s", control.path)
    watching = None
    if watch:
        changed = changes.watch(lambda: reloader.files, lambda: reloader.try_to("--watch"))
        watching = asyncio.create_task(changed)
    try:
        yield
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        if control is not None:
            await control.stop()


async def _status(reloader: Reloader) -> dict[str, Any]:
    return snapshot(reloader.graph)


def _on_signals(
    loop: asyncio.AbstractEventLoop,
    log: logging.Logger,
    ended: asyncio.Event,
    hurry: asyncio.Event,
    reloader: Reloader,
) -> None:
    def end(name: str) -> None:
        if ended.is_set():
            log.warning("%s while stopping: not waiting any longer", name)
            hurry.set()
        else:
            log.info("%s: stopping", name)
            ended.set()

    system.on_end(loop, end)
    system.on_hang_up(loop, reloader.soon)


def _introduce(graph: Graph, journal: Journal | None, log: logging.Logger) -> None:
    """Say what flows where, and what an acknowledgement means."""
    for line in flows(graph.config):
        log.info("%s", line)
    for path, promise in graph.promises():
        level = logging.WARNING if promise.startswith("in memory") else logging.INFO
        log.log(level, "%s: acknowledged means %s", path, promise)
    found = [journal, *(getattr(node.inner, "journal", None) for node in graph.nodes)]
    for each in filter(None, found):
        for left in each.unclaimed():
            log.warning(
                "the journal in %s has %d batches for exporter %s, which does not use it now; they "
                "stay, see 'heliograph collector journal'",
                each.directory,
                left.waiting,
                left.name,
            )
    log.info("ready")


async def _until(ended: asyncio.Event, graph: Graph, log: logging.Logger) -> int:
    """Wait for the end; return the exit status it deserves."""
    graph.failed.add_done_callback(lambda _: ended.set())
    await ended.wait()
    if not graph.failed.done():
        return OK
    log.error("stopping, because a component cannot go on: %s", graph.failed.exception())
    return FAILED


async def _drain(
    reloader: Reloader, hurry: asyncio.Event, seconds: float, log: logging.Logger
) -> bool:
    """Stop the graph; a second signal cuts it short."""
    stopping = asyncio.create_task(reloader.stop(seconds))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait([stopping, hurried], return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait([stopping])
        return False
    clean = stopping.result()
    log.info("stopped%s", "" if clean else "; what had not arrived is still with its senders")
    return clean
