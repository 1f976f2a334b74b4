"""What durability costs: ours with the journal and the Go collector with file_storage, in one run.

``python benchmarks/delivery.py [--parts cost,paced,each,stall,outage] [--seconds 4] [--repeats 3]
[--outage 60] [--write]``. ``cost`` and ``each`` keep a collector as busy as it can be, without and
with a sync before each acknowledgement; ``paced`` sends 100 000 spans a second. ``stall`` pushes
while the exporter answers nothing;
``outage`` sends 20 000 spans a second while the backend is away for so many seconds, then measures
how fast what waits arrives beside what goes on coming. ``--write`` puts the table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import harness
from collector import drained, machine
from modes import (
    DELIVERED,
    FIRST,
    GO_FILE,
    GO_FSYNC,
    GO_MEMORY,
    OURS,
    SPILL,
    STATE,
    Ends,
    Mode,
    command,
    configuration,
)
from table import record, table

MIB = 2**20
RATE = 20_000
"""Spans a second during an outage."""
SPANS = 512
"""Spans a request at full load."""
EACH = replace(FIRST, name="journal first, fsync: each", journal={"fsync": "each"})
LIMIT = 128
"""MiB that the memory limiter is given while the exporter is stalled."""
TITLE = "Delivery"
HEADINGS = ("measured", "collector", "mode", "figure", "unit", "Go ÷ ours or ours ÷ Go", "target")


@dataclass(frozen=True)
class Measure:
    """A figure, its unit, and what is wanted of ours."""

    title: str
    unit: str
    wanted: float | None = None
    less: bool = True
    """Whether less is better."""

    def missed(self, figure: float) -> bool:
        if self.wanted is None:
            return False
        return figure > self.wanted if self.less else figure < self.wanted


CPU = Measure("CPU, fsync every 200 ms, full load", "CPU-s per million spans", 1.0)
PACED = Measure("CPU, fsync every 200 ms, 100 k spans/s", "CPU-s per million spans")
EACH_RATE = Measure("full load, fsync before each answer", "spans/s", 50_000, less=False)
RESIDENT = Measure(f"exporter stalled at full load, limit_mib {LIMIT}", "MiB resident", 150)
HELD = Measure("accepted while it is stalled", "k spans", less=False)
ON_DISK = Measure("outage: bytes on disk", "bytes a span")
SHARE = Measure("outage: of the cap", "%", 100)
PEAK = Measure("outage: memory", "MiB resident")
DRAIN = Measure("outage: rate out while draining ÷ rate in", "times", 3.0, less=False)
LOST = Measure("outage: accepted and lost", "spans", 0)

Figures = dict[Measure, float]


@dataclass(frozen=True)
class Running:
    """A collector between a sink and whoever loads it."""

    process: harness.Process
    sink: harness.Sink
    port: int
    folder: Path

    @property
    def on_disk(self) -> int:
        """Bytes of what is kept, as files."""
        found = (self.folder / STATE).rglob("*")
        return sum(path.stat().st_size for path in found if path.is_file())


@contextmanager
def collector(mode: Mode, *sink_options: str, limit_mib: int = 512) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="delivery-") as name:
        folder = Path(name)
        with harness.sink(folder / "sink.log", *sink_options) as sink:
            ends = Ends(harness.free_port(), harness.free_port(), [sink.grpc])
            config = folder / "collector.yaml"
            config.write_text(configuration(mode, ends, folder, limit_mib=limit_mib))
            state = {"HELIOGRAPH_STATE_DIR": str(folder / STATE)}
            (folder / STATE).mkdir()
            words = command(mode, config)
            with harness.running(words, folder / "collector.log", **state) as process:
                process.ready(ends.grpc)
                yield Running(process, sink, ends.grpc, folder)


def paced(mode: Mode, options: argparse.Namespace) -> Figures:
    """A load that every collector bears."""
    return {PACED: busy(mode, options, "--rate", 100_000)[CPU]}


def busy(mode: Mode, options: argparse.Namespace, *more: str | float) -> Figures:
    """As many spans as are taken, or as is said, to a backend that is well."""
    with collector(mode) as running:
        before, began = running.process.cpu(), time.monotonic()
        report = harness.load(
            *("--target", f"127.0.0.1:{running.port}", "--spans", SPANS),
            *("--seconds", options.seconds, "--connections", 4, "--inflight", 4),
            *more,
        )
        took = time.monotonic() - began
        spans = drained(running.sink, report["accepted"])["spans"]
        if not spans:
            raise RuntimeError(f"{mode} delivered nothing: {report}")
        return {
            CPU: (running.process.cpu() - before) / spans * 1e6,
            EACH_RATE: report["accepted"] / took,
        }


def stall(mode: Mode, options: argparse.Namespace) -> Figures:
    """Senders push, and the backend reads and never answers."""
    with collector(mode, limit_mib=LIMIT) as running:
        running.sink.mood("stall")
        words = ("--target", f"127.0.0.1:{running.port}", "--spans", SPANS, "--inflight", 20)
        herd = harness.Herd(running.folder / "herd.log", *words, "--backoff", 0.2)
        time.sleep(max(10, 2 * options.seconds))
        running.process.alive()
        accepted = herd.latest()["accepted"]
        herd.process.child.kill()
        herd.process.child.wait()
        return {RESIDENT: running.process.peak() / MIB, HELD: accepted / 1e3}


def outage(mode: Mode, options: argparse.Namespace) -> Figures:
    """The backend is away for a while, then back."""
    cap = 1024 if options.outage <= 600 else 4096
    with collector(mode, "--check", "yes") as running:
        words = ("--target", f"127.0.0.1:{running.port}", "--spans", 100, "--rate", RATE)
        herd = harness.Herd(running.folder / "herd.log", *words, "--backoff", 0.2)
        sent = lambda: int(herd.latest().get("accepted", 0))  # noqa: E731
        arrived = lambda: sum(running.sink.counts().values())  # noqa: E731
        harness.wait_until(lambda: sent() > RATE, 30, "accepted spans")
        running.sink.mood("down")
        time.sleep(options.outage)
        waiting, on_disk = sent() - arrived(), running.on_disk
        if waiting < RATE:
            raise RuntimeError(f"{mode} accepted {waiting} spans during the outage")
        running.sink.mood("ok")
        already = arrived()
        harness.wait_until(lambda: arrived() > already + RATE // 4, 90, "the first delivery")
        began, first, offered = time.monotonic(), arrived(), sent()
        bound = 10 * options.outage + 60
        harness.wait_until(lambda: sent() - arrived() < RATE // 10, bound, "the backlog's end")
        took = time.monotonic() - began
        out, into = arrived() - first, sent() - offered
        report = herd.finish()
        runs = {1: [(start, end) for start, end in report["runs"]]}
        gone = lambda: harness.missing(runs[1], running.sink.seen().runs.get(1, []))  # noqa: E731
        try:
            harness.wait_until(lambda: not gone(), 30, "all that was accepted")
        except TimeoutError as error:
            print(f"{mode}: {error}", file=sys.stderr)
        return {
            ON_DISK: on_disk / waiting,
            SHARE: on_disk / (cap * MIB) * 100,
            PEAK: running.process.peak() / MIB,
            DRAIN: (out / took) / (into / took if into else RATE),
            LOST: harness.count(gone()),
        }


@dataclass(frozen=True)
class Part:
    """What is run, with whom, and which figures of it are shown."""

    run: Callable[[Mode, argparse.Namespace], Figures]
    modes: Sequence[Mode]
    shown: Sequence[Measure]
    repeated: bool = True


PARTS = {
    "cost": Part(busy, (SPILL, FIRST, GO_FILE), (CPU,)),
    "paced": Part(paced, (SPILL, FIRST, GO_FILE), (PACED,)),
    "each": Part(busy, (EACH, GO_FSYNC), (EACH_RATE,)),
    "stall": Part(stall, (DELIVERED, SPILL, FIRST, GO_MEMORY, GO_FILE), (RESIDENT, HELD), False),
    "outage": Part(outage, (SPILL, GO_FILE), (ON_DISK, SHARE, PEAK, DRAIN, LOST), False),
}


def rows(part: Part, results: Sequence[tuple[Mode, Figures]]) -> Iterator[tuple[str, ...]]:
    """The table's lines of a part; each of ours is compared with Go's best mode."""
    for measure in part.shown:
        theirs = [figures[measure] for mode, figures in results if mode.collector != OURS]
        best = (min if measure.less else max)(theirs, default=0.0)
        for mode, figures in results:
            figure = figures[measure]
            ratio = wanted = ""
            if mode.collector == OURS and best and figure:
                ratio = f"{best / figure if measure.less else figure / best:.1f}"
            if mode.collector == OURS and measure.wanted is not None:
                sign = "≤" if measure.less else "≥"
                wanted = f"{sign} {measure.wanted:g}"
                wanted += ", missed" if measure.missed(figure) else ""
            shown = f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}"
            yield (measure.title, mode.collector, mode.name, shown, measure.unit, ratio, wanted)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--seconds", type=float, default=4, help="of full load")
    parser.add_argument("--repeats", type=int, default=3, help="of full load, interleaved")
    parser.add_argument("--outage", type=float, default=60, help="seconds")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    harness.build_native()
    lines: list[tuple[str, ...]] = []
    for name in options.parts.split(","):
        part = PARTS[name]
        runs: list[list[Figures]] = [[] for _ in part.modes]
        for _ in range(options.repeats if part.repeated else 1):
            for mode, got in zip(part.modes, runs, strict=True):
                figures = part.run(mode, options)
                shown = ", ".join(f"{figures[m]:.2f} {m.unit}" for m in part.shown)
                print(f"{name}, {mode}: {shown}", file=sys.stderr, flush=True)
                got.append(figures)
        medians = [
            (mode, {m: statistics.median(run[m] for run in got) for m in part.shown})
            for mode, got in zip(part.modes, runs, strict=True)
        ]
        lines += rows(part, medians)
    text = table(HEADINGS, lines, 3)
    print(text)
    if options.write:
        setting = (
            f"`benchmarks/delivery.py`, {machine()}. Full load: requests of {SPANS} spans x 10 "
            f"attributes\nover gRPC, medians of {options.repeats} interleaved runs of "
            f"{options.seconds:g} s. Outage: {options.outage:g} s at {RATE:,} spans/s in requests "
            "of 100,\nof 10 minutes wanted. A ratio above 1 is in our favour."
        )
        record(TITLE, f"{setting}\n\n{text}")
    return any("missed" in line[-1] for line in lines)


if __name__ == "__main__":
    sys.exit(main())
