"""What keeping a batch on disk costs: MB/s, and CPU time a span, for each policy, packed and not.

    .venv/bin/python benchmarks/journal.py [--write] [DIRECTORY]

Batches of 512 spans with 10 attributes each, as in benchmarks/wire.py, 16 appends at a time, each
of bytes of its own; then all of it is taken and compared. The directory is where the disk is that
is to be measured; a temporary one when not given. ``--write`` puts the table into RESULTS.md; the
Go collector's queue on disk is beside ours in delivery.py.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from table import record, table
from wire import ITEMS, traces

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Edge
from heliograph.pipeline.journal import Journal, JournalSettings

MIB = 1 << 20
AT_ONCE = 16
SECONDS = 2.0
MOST = 1 << 31
HEADINGS = (
    *("fsync", "packed", "append MB/s", "CPU ns/span", "take MB/s", "CPU ns/span"),
    "bytes on disk to bytes",
)
POLICIES = {"each": 0.0, "200ms": 0.2, "never": None}


@dataclass(frozen=True)
class Row:
    """One policy: rates by wall time, cost by CPU time of all threads."""

    policy: str
    packed: bool
    appended: float
    append_ns: float
    taken: float
    take_ns: float
    ratio: float
    """Bytes on disk to bytes of batches."""

    def cells(self) -> list[str]:
        figures = (self.appended, self.append_ns, self.taken, self.take_ns)
        packed = "zstd" if self.packed else "no"
        return [self.policy, packed, *(f"{figure:.0f}" for figure in figures), f"{self.ratio:.2f}"]


async def measure(directory: Path, policy: str, packed: bool, wire: bytes) -> Row:
    edge = Edge(asyncio.get_running_loop(), logging.getLogger("benchmark"))
    journal = Journal.open(edge, JournalSettings(directory, 2 * MOST, POLICIES[policy]))
    queue = journal.queue("benchmark")
    count = 0

    async def append(until: float) -> None:
        nonlocal count
        while time.perf_counter() < until and count * len(wire) < MOST:
            count += 1
            await queue.append(Batch(Signal.TRACES, wire), pack=packed)

    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(append(start + SECONDS) for _ in range(AT_ONCE)))
    appended, append_cpu = time.perf_counter() - start, time.process_time() - cpu
    ratio = journal.used / (count * len(wire))
    start, cpu = time.perf_counter(), time.process_time()
    taken = 0
    while (record := await queue.take()) is not None:
        taken += 1
        if taken % 100 == 1:
            assert bytes(record.batch.wire()) == wire
        queue.done(record.id)
    took, take_cpu = time.perf_counter() - start, time.process_time() - cpu
    assert taken == count
    await journal.close()
    edge.close()
    megabytes, spans = count * len(wire) / 1e6, count * ITEMS
    return Row(
        policy,
        packed,
        megabytes / appended,
        append_cpu / spans * 1e9,
        megabytes / took,
        take_cpu / spans * 1e9,
        ratio,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", nargs="?", default=tempfile.gettempdir())
    parser.add_argument("--write", action="store_true", help="record the table in RESULTS.md")
    options = parser.parse_args()
    wire = traces().SerializeToString()
    setting = f"{ITEMS} spans, {len(wire) / 1e3:.0f} kB a batch, {AT_ONCE} appends at a time"
    print(setting)
    rows = []
    for policy in POLICIES:
        for packed in (False, True):
            with tempfile.TemporaryDirectory(dir=options.directory) as directory:
                row = asyncio.run(measure(Path(directory), policy, packed, wire))
            rows.append(row.cells())
            print(" ".join(rows[-1]))
    text = table(HEADINGS, rows, 2)
    print(text)
    if options.write:
        record("Journal", f"`benchmarks/journal.py`: {setting}, then all is taken.\n\n{text}")


if __name__ == "__main__":
    main()
