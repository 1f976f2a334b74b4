"""The collector's process: from a configuration to an exit status."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import signal
import sys
from typing import IO

from heliograph._core import keep_freed_memory
from heliograph.errors import ConfigError
from heliograph.pipeline.component import Edge
from heliograph.pipeline.config import Config
from heliograph.pipeline.graph import DRAIN, Graph
from heliograph.pipeline.logs import set_up
from heliograph.pipeline.redaction import guard, guard_loop, redact
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.watch import LoopWatch

OK = 0
FAILED = 1


def run(config: Config, *, drain: float = DRAIN, errors: IO[str] | None = None) -> int:
    """Run until SIGTERM, SIGINT or a component's failure; return the exit status.

    0 after a signal and a clean stop; 1 when the world does not fit the configuration (printed to
    ``errors``), when a component failed, or when draining took longer than ``drain`` seconds. A
    second signal ends draining at once.
    """
    keep_freed_memory()
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
        with asyncio.Runner() as runner:
            return runner.run(_serve(config, log, drain))
    except ConfigError as error:
        placed = ConfigError(config.placed(problem) for problem in error.problems)
        print(redact(str(placed)), file=errors or sys.stderr)
        return FAILED


async def _serve(config: Config, log: logging.Logger, drain: float) -> int:
    loop = asyncio.get_running_loop()
    guard_loop(loop, log)
    edge = Edge(loop, log)
    try:
        graph = Graph(config, edge, log=log)
        watch = LoopWatch(graph.owner, graph.telemetry, Sparingly(log, loop.time))
        ended = asyncio.Event()
        hurry = asyncio.Event()
        _on_signals(loop, log, ended, hurry)
        try:
            await graph.start()
            gc.collect()
            gc.freeze()  # a full collection of all that was imported would hold the loop
            watch.start()
            _introduce(config, log)
            status = await _until(ended, graph, log)
            return status if await _drain(graph, hurry, drain, log) else FAILED
        finally:
            watch.stop()
    finally:
        edge.close()


def _on_signals(
    loop: asyncio.AbstractEventLoop,
    log: logging.Logger,
    ended: asyncio.Event,
    hurry: asyncio.Event,
) -> None:
    def end(name: str) -> None:
        if ended.is_set():
            log.warning("%s while stopping: not waiting any longer", name)
            hurry.set()
        else:
            log.info("%s: stopping", name)
            ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number.name)
    loop.add_signal_handler(
        signal.SIGHUP,
        lambda: log.warning("SIGHUP: this version cannot reload; restart to apply changes"),
    )


def _introduce(config: Config, log: logging.Logger) -> None:
    """Say what flows where, and what an acknowledgement means."""
    for pipeline in config.pipelines.values():
        steps = [pipeline.receivers, *((id,) for id in pipeline.processors), pipeline.exporters]
        flow = " → ".join(", ".join(map(str, step)) for step in steps)
        log.info("pipeline %s: %s", pipeline.id, flow)
    log.info("ready: what is acknowledged has been delivered; nothing is kept on disk")


async def _until(ended: asyncio.Event, graph: Graph, log: logging.Logger) -> int:
    """Wait for the end; return the exit status it deserves."""
    graph.failed.add_done_callback(lambda _: ended.set())
    await ended.wait()
    if not graph.failed.done():
        return OK
    log.error("stopping, because a component cannot go on: %s", graph.failed.exception())
    return FAILED


async def _drain(graph: Graph, hurry: asyncio.Event, seconds: float, log: logging.Logger) -> bool:
    """Stop the graph; a second signal cuts it short."""
    stopping = asyncio.create_task(graph.stop(seconds))
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
