"""The faults at full length, ours and the Go collector side by side.

``make soak SOAK="[--faults away,bombs] [--collectors heliograph,go] [--modes spill] [--short]
[--jobs 2] [--write]"`` prints each row when it is there and the table at the end; exits
with 1 when ours lost something or went beyond its memory. ``--write`` puts each row into
benchmarks/RESULTS.md, replacing the rows of the same fault and mode and keeping the others, so
that it can be run in parts. Two at a time is right for two cores: the load is moderate.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faults
import harness
from faults import FAULTS, LONG, SHORT, Fault
from modes import GO, OURS, Mode
from stage import HEADINGS, LIMIT, RATE, SPANS, Impossible, Row, Scale
from table import Cells, record, recorded, table

TITLE = "Faults"
LEFT = 4
"""Columns of words; the first three say which row it is."""
ORDER = [[fault.name, mode.collector, mode.name] for fault in FAULTS for mode in fault.modes]


def attempt(fault: Fault, mode: Mode, scale: Scale) -> Row | str | None:
    """A row, or what kept it from being made; None where this machine cannot do it."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        try:
            return faults.run(fault, mode, scale, Path(folder))
        except Impossible as missing:
            print(f"{fault.name}, {mode}: left out: {missing}", flush=True)
            return None
        except Exception as error:
            logs = sorted(Path(folder).glob("collector*.log"), key=lambda log: log.stat().st_mtime)
            tail = logs[-1].read_text()[-500:] if logs else ""
            return f"{type(error).__name__}: {error}\n{tail}"


def place(cells: Cells) -> int:
    return ORDER.index(list(cells[:3]))


def write(cells: list[list[str]], scale: Scale) -> None:
    """Put the rows into RESULTS.md, beside those of other faults and modes that are there."""
    fresh = [row[:3] for row in cells]
    kept = [row for row in recorded(TITLE) if row[:3] in ORDER and row[:3] not in fresh]
    text = (
        f"`make soak`: {RATE // 1000} 000 spans/s in requests of {SPANS} over gRPC, every span is\n"
        f"known by its number. An outage is {scale.outage:g} s, a sudden fault happens "
        f"{scale.times} times.\nBoth collectors run the same YAML, but for what the mode says, "
        f"with a memory limit of {LIMIT} MiB.\nDuplicates are spans that a backend got twice.\n\n"
    )
    record(TITLE, text + table(HEADINGS, sorted(kept + cells, key=place), LEFT))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", default="", help="parts of names, with commas; all by default")
    parser.add_argument("--modes", default="", help="names of modes, with commas")
    parser.add_argument("--collectors", default=f"{OURS},{GO}")
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time")
    parser.add_argument("--write", action="store_true", help="record the table in RESULTS.md")
    options = parser.parse_args()
    harness.build_native()
    scale = SHORT if options.short else LONG
    names = [name for name in options.faults.split(",") if name]
    modes = [name for name in options.modes.split(",") if name]
    chosen = [
        (fault, mode)
        for fault in FAULTS
        for mode in fault.modes
        if mode.collector in options.collectors.split(",")
        and (not modes or mode.name in modes)
        and (not names or any(name in fault.name for name in names))
    ]
    rows: list[Row] = []
    wrong: list[str] = []
    writing = threading.Lock()

    def one(case: tuple[Fault, Mode]) -> None:
        fault, mode = case
        began = time.monotonic()
        row = attempt(fault, mode, scale)
        took = f"{time.monotonic() - began:.0f} s"
        if row is None:
            return
        told = row if isinstance(row, str) else " | ".join(row.cells())
        print(f"{fault.name}, {mode} ({took}): {told}", flush=True)
        if isinstance(row, Row):
            rows.append(row)
            if options.write:
                with writing:
                    write([row.cells()], scale)
        problem = fault.wrong(row) if isinstance(row, Row) else row
        if mode.collector == OURS and problem:
            wrong.append(f"{fault.name}, {mode}: {problem}")

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, chosen))
    cells = [row.cells() for row in rows]
    print("\n" + table(HEADINGS, sorted(cells, key=place), LEFT), flush=True)
    print("\n".join(wrong) or "ours lost nothing and kept its bounds", flush=True)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
