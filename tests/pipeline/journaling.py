"""Journals in tests: opened in this process, or by a child that a fault may hit."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Edge
from heliograph.pipeline.journal import Journal, JournalQueue, JournalSettings

MIB = 2**20

PRELUDE = """
import asyncio, contextlib, pathlib, sys
from journaling import open_journal, opened
from heliograph.errors import ConfigError
from heliograph.pipeline.journal import JournalError, JournalFull
from heliograph.testing import traces, until
directory = pathlib.Path(sys.argv[1])

async def main():
    async with opened(directory, **settings) as journal:
        await body(journal, journal.queue("otlp"))

def run():
    try:
        asyncio.run(main())
    except ConfigError as error:
        print(error)
"""


def open_journal(edge: Edge, directory: Path, **settings: Any) -> Journal:
    settings.setdefault("max_bytes", 64 * MIB)
    return Journal.open(edge, JournalSettings(directory, **settings), path="storage")


@asynccontextmanager
async def opened(directory: Path, **settings: Any) -> AsyncIterator[Journal]:
    """Open a journal with an edge of its own."""
    edge = Edge(asyncio.get_running_loop(), logging.getLogger("test"))
    try:
        journal = open_journal(edge, directory, **settings)
        try:
            yield journal
        finally:
            await journal.close()
    finally:
        edge.close()


def child(
    directory: Path, body: str, before: Sequence[str] = (), env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a process that runs ``body``, which defines ``settings`` and ``body(journal, queue)``.

    Args:
        before: what stands in front of its command line.
    """
    here = str(Path(__file__).parent)
    program = f"import sys; sys.path.insert(0, {here!r})\n{PRELUDE}\n{body}\nrun()"
    line = [*before, sys.executable, "-W", "error", "-c", program, str(directory)]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=env)


def output(process: subprocess.Popen[str], seconds: float = 30) -> str:
    """Return what a child printed; fail when it failed."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    return out


def name(batch: Batch) -> str:
    """Return the name of a batch's first span, or the body of its first log record."""
    path = "body" if batch.signal == Signal.LOGS else "name"
    frame: Any = batch.frame(path)
    return str(frame[path][0])


async def drained(queue: JournalQueue) -> list[str]:
    """Take all that waits, and say that it is done; return the names."""
    found = []
    while (record := await queue.take()) is not None:
        found.append(name(record.batch))
        queue.done(record.id)
    return found
