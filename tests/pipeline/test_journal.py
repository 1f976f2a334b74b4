"""The journal as Delivery sees it, on real directories."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import ConfigError
from heliograph.otlp import Batch, Context, Signal
from heliograph.pipeline.component import Edge
from heliograph.pipeline.journal import Journal, JournalFull, JournalQueue, JournalSettings
from heliograph.testing import logs, traces, until

MIB = 2**20


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    edge = Edge(asyncio.get_running_loop(), logging.getLogger("test"))
    yield edge
    edge.close()


def open_journal(edge: Edge, directory: Path, **settings: Any) -> Journal:
    settings.setdefault("max_bytes", 64 * MIB)
    return Journal.open(edge, JournalSettings(directory, **settings), path="storage")


def on_disk(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


async def fill(queue: JournalQueue) -> int:
    """Append until there is no room; return how many there was room for."""
    kept = 0
    with contextlib.suppress(JournalFull):
        while True:
            await queue.append(traces(padding=50_000))
            kept += 1
    return kept


def name(batch: Batch) -> str:
    frame: Any = batch.frame("name")
    return str(frame["name"][0])


async def test_a_batch_waits_for_each_queue_on_its_own(edge: Edge, tmp_path: Path) -> None:
    journal = open_journal(edge, tmp_path / "journal")
    one, two = journal.queue("otlp/one"), journal.queue("otlp/two")
    assert journal.queue("otlp/one") is one
    batch = traces(3, context=Context({"tenant": ["a"]}, auth={"user": "b"}))
    await one.append(batch)
    await two.append(batch, pack=True)
    await two.append(logs(2), pack=True)
    assert (one.waiting, one.waiting_bytes) == (1, batch.nbytes)
    assert two.waiting_items[Signal.TRACES] == 3
    assert two.waiting_items[Signal.LOGS] == 2
    record = await one.take()
    assert record is not None
    assert bytes(record.batch.wire()) == bytes(batch.wire())
    assert record.batch.context == batch.context
    assert record.batch.items == 3
    assert await one.take() is None
    assert (one.waiting, one.out, one.oldest) == (0, 1, None)
    one.put_back(record.id)
    assert one.oldest == pytest.approx(record.received_ns / 1e9)
    again = await one.take()
    assert again is not None
    assert again.id == record.id
    one.done(again.id)
    assert two.waiting == 2
    await journal.close()
    await journal.close()


async def test_what_waits_is_there_after_a_restart(edge: Edge, tmp_path: Path) -> None:
    journal = open_journal(edge, tmp_path)
    queue = journal.queue("otlp")
    for number in range(4):
        await queue.append(traces(name=f"batch {number}"))
    held = await queue.append(traces(name="held"), hold=True)
    delivered = await queue.take()
    assert delivered is not None
    queue.done(delivered.id)
    queue.done(held)
    await queue.take()
    await journal.close()

    journal = open_journal(edge, tmp_path)
    assert [entry.name for entry in journal.unclaimed()] == ["otlp"]
    assert journal.unclaimed()[0].items[Signal.TRACES] == 3
    assert (journal.recovery.records, journal.recovery.notes) == (3, [])
    queue = journal.queue("otlp")
    assert journal.unclaimed() == []
    found = []
    while (record := await queue.take()) is not None:
        found.append(name(record.batch))
        queue.done(record.id)
    assert found == ["batch 1 0", "batch 2 0", "batch 3 0"]
    await until(lambda: journal.used == 0)
    await journal.close()


async def test_when_it_is_full_it_refuses_and_keeps_what_it_has(edge: Edge, tmp_path: Path) -> None:
    journal = open_journal(edge, tmp_path, max_bytes=MIB, fsync=0.0)
    queue = journal.queue("otlp")
    kept = await fill(queue)
    assert kept > 15
    with pytest.raises(JournalFull, match=r"full: \d+ of 1048576 bytes"):
        await queue.append(traces(padding=50_000))
    assert queue.waiting == kept
    assert journal.used <= MIB
    assert on_disk(tmp_path) <= MIB
    await journal.close()


async def test_it_drops_the_oldest_when_it_is_told_to(
    edge: Edge, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = open_journal(edge, tmp_path, max_bytes=MIB, fsync=None, when_full="drop_oldest")
    queue = journal.queue("otlp")
    for number in range(40):
        await queue.append(traces(name=f"batch {number}", padding=50_000))
        assert journal.used <= MIB
    dropped = queue.dropped_items[Signal.TRACES]
    assert queue.waiting == 40 - dropped
    record = await queue.take()
    assert record is not None
    assert name(record.batch) == f"batch {dropped} 0"
    await until(lambda: "was dropped" in caplog.text)
    await journal.close()


async def test_a_second_process_is_told_who_has_it(edge: Edge, tmp_path: Path) -> None:
    journal = open_journal(edge, tmp_path)
    with pytest.raises(ConfigError) as caught:
        open_journal(edge, tmp_path)
    (problem,) = caught.value.problems
    assert problem.path == "storage"
    assert "is used by process" in problem.message
    assert problem.fix == "stop it, or give each collector a directory of its own"
    await journal.close()
    await open_journal(edge, tmp_path).close()


async def test_cancelled_calls_leave_nothing_out(edge: Edge, tmp_path: Path) -> None:
    journal = open_journal(edge, tmp_path)
    queue = journal.queue("otlp")
    append = asyncio.create_task(queue.append(traces(), hold=True))
    await asyncio.sleep(0)
    append.cancel()
    await asyncio.wait([append])
    await queue.append(logs())
    await until(lambda: queue.out == 0)
    take = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    take.cancel()
    await asyncio.wait([take])
    record = None
    async with asyncio.timeout(10):
        while record is None:  # the cancelled call may have it for a moment
            record = await queue.take()
    assert record.batch.signal == Signal.LOGS
    await journal.close()
