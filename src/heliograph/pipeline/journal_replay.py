"""Send what waits in a journal to an OTLP endpoint, without a collector."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.errors import Reject, Retry
from heliograph.pipeline.component import ComponentId, Edge, Kind, Settings
from heliograph.pipeline.journal import Journal, JournalLocked, JournalQueue, JournalSettings
from heliograph.pipeline.journal_tool import ToolError
from heliograph.pipeline.registry import Registry

WORKERS = 4
TRIES = 5
WAIT = 0.5
"""Seconds between the first two tries; they double."""
EVERY = 2.0
"""Seconds between two lines about progress."""

_UNBOUNDED = 1 << 50
"""Replaying takes no room, and what is there stays whatever its size."""


@dataclass
class Sent:
    """What became of the batches."""

    delivered: int = 0
    items: int = 0
    rejected: int = 0
    left: int = 0
    stopped: str = ""
    """Why it ended early."""


def replay(
    directory: Path, names: Sequence[str], to: str, *, keep: bool, say: Callable[[str], None]
) -> Sent:
    """Send all that waits for these readers; blocking.

    Args:
        to: host:port in plain text, or https://host:port.
        keep: leave it all in the journal.
    Raises: ToolError when the journal is in use; ConfigError.
    """
    return asyncio.run(_replay(directory, names, to, keep, say))


async def _replay(
    directory: Path, names: Sequence[str], to: str, keep: bool, say: Callable[[str], None]
) -> Sent:
    log = logging.getLogger("heliograph.journal")
    edge = Edge(asyncio.get_running_loop(), log)
    try:
        exporter = _exporter(to, edge, log)
        try:
            journal = Journal.open(edge, JournalSettings(directory, _UNBOUNDED))
        except JournalLocked as error:
            (problem,) = error.problems
            text = f"{problem.message}: only what no collector uses can be replayed; stop it first"
            raise ToolError(text) from None
        sent = Sent()
        await exporter.start()
        try:
            for name in names:
                await _Reader(journal.queue(name), exporter, keep, sent, say).run()
                if sent.stopped:
                    break
        finally:
            await exporter.stop()
            await journal.close()
    finally:
        edge.close()
    return sent


def _exporter(to: str, edge: Edge, log: logging.Logger) -> Any:
    module: Any = Registry().module(Kind.EXPORTER, "otlp")
    config = module.Config(endpoint=to, tls={"insecure": not to.startswith("https://")})
    for problem in config.check():
        raise ToolError(f"--to: {problem.message}")
    return module.Exporter(config, Settings(ComponentId("otlp"), Kind.EXPORTER, log, edge))


class _Reader:
    """Sends what waits for one reader, a few batches at a time."""

    def __init__(
        self,
        queue: JournalQueue,
        exporter: Any,
        keep: bool,
        sent: Sent,
        say: Callable[[str], None],
    ) -> None:
        self._queue = queue
        self._exporter = exporter
        self._keep = keep
        self._sent = sent
        self._say = say
        self._all = queue.waiting
        self._over = 0
        self._said = asyncio.get_running_loop().time()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(self._work())
        self._sent.left += self._all - self._over
        self._tell()

    async def _work(self) -> None:
        sent = self._sent
        while not sent.stopped and (record := await self._queue.take()) is not None:
            try:
                await self._send(record.batch)
            except Reject as error:
                # It is neither done nor waiting, so that it is there at the next start.
                sent.rejected += 1
                self._say(f"{self._queue.name}: rejected, and kept: {error.reason}")
            except Retry as error:
                self._queue.put_back(record.id)
                sent.stopped = error.reason
            else:
                sent.delivered += 1
                sent.items += record.batch.items
                self._over += 1
                if not self._keep:
                    self._queue.done(record.id)
            if asyncio.get_running_loop().time() - self._said >= EVERY:
                self._tell()

    async def _send(self, batch: Any) -> None:
        for failures in range(1, TRIES + 1):
            try:
                await self._exporter.consume(batch)
            except Retry as error:
                if failures == TRIES or self._sent.stopped:
                    raise
                wait = WAIT * 2 ** (failures - 1)
                await asyncio.sleep(wait if error.after is None else error.after)
            else:
                return

    def _tell(self) -> None:
        self._said = asyncio.get_running_loop().time()
        self._say(f"{self._queue.name}: {self._over} of {self._all} batches")
