"""Twice what a collector can take, for as long as wanted: does it go on doing what it can?

``python benchmarks/overload.py [--seconds 60] [--spans 20] [--collectors heliograph,go]
[--modes delivered] [--connections 4] [--streams 100] [--compression none] [--write]``. First the
peak: as much as senders with a few requests in flight get taken. Then senders make requests by the
clock at twice that, each sent again when it is told to be; they hold at most a second's worth and
shed the rest, as SDKs do. Every 20 seconds the peak is measured anew, for what a shared machine
can do changes by the second. Printed are, for each ten seconds, spans a second at the sink as a
share of the mean of the peaks before and after, and the resident size; then how long a refusal took
(waiting for a free stream of the client's own connection is not counted), and what delays were
told. With thousands of connections of one stream the wait is so long that some are refused. The
collector has one core, the senders and the sink share the other, so that neither side's hunger is
the other's limit; both collectors get the same. Requests are small, because then refusing costs
most beside taking. ``--write`` puts the table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
from modes import (
    DELIVERED,
    GO,
    GO_MEMORY,
    GO_PLAIN,
    OURS,
    SPILL,
    Ends,
    Mode,
    command,
    configuration,
)
from table import record, table

MIB = 2**20
STEP = 10.0
"""Seconds of one figure."""
STRETCH = 20.0
"""Seconds of overload between two looks at the peak."""
IN_FLIGHT = 32
"""Requests of the senders that show the peak; one on each connection at least."""
MODES = (DELIVERED, SPILL, GO_PLAIN, GO_MEMORY)
HEADINGS = (
    *("collector", "mode", "peak k spans/s", "of peak: mean", "worst 10 s"),
    *("refused/s", "refusal p50 ms", "p99", "max", "told p50 s", "min-max", "MiB", "note"),
)


@dataclass
class Course:
    """What one collector did."""

    mode: Mode
    peaks: list[float] = field(default_factory=list)
    """Spans a second at the sink when senders wait for their answers."""
    rates: list[float] = field(default_factory=list)
    """The same under overload, for each step."""
    shares: list[float] = field(default_factory=list)
    """Each rate as a share of the peaks around it."""
    resident: list[int] = field(default_factory=list)
    """Bytes, at the end of each step."""
    reports: list[dict[str, Any]] = field(default_factory=list)
    """What the senders of each stretch say."""
    seconds: float = 0.0
    cores: tuple[float, float] = (0.0, 0.0)
    """CPU-seconds a second of the collector, and of the senders."""

    def total(self, name: str) -> int:
        return sum(report[name] for report in self.reports)

    def worst(self, name: str, of: str) -> float:
        return max(report[name][of] for report in self.reports)

    def middle(self, name: str) -> float:
        """The median of the stretches' medians."""
        return statistics.median(report[name]["p50"] for report in self.reports)

    def cells(self) -> list[str]:
        told = [report["told_ms"] for report in self.reports if report["told_ms"]["count"]]
        spread = [min(one["min"] for one in told), max(one["max"] for one in told)] if told else []
        unanswered = self.total("unanswered")
        return [
            self.mode.collector,
            self.mode.name,
            f"{statistics.median(self.peaks) / 1e3:.0f}",
            f"{statistics.mean(self.shares):.0%}",
            f"{min(self.shares):.0%}",
            f"{self.total('refused') / self.seconds:,.0f}",
            f"{self.middle('refuse_ms'):.1f}",
            f"{self.worst('refuse_ms', 'p99'):.1f}",
            f"{self.worst('refuse_ms', 'max'):.0f}",
            f"{self.middle('told_ms') / 1e3:.2f}",
            "-".join(f"{each / 1e3:.2f}" for each in spread),
            f"{self.resident[0] / MIB:.0f}-{max(self.resident) / MIB:.0f}",
            f"{unanswered:,} gave up waiting" if unanswered else "",
        ]


class Bench:
    """A sink, a collector, and whoever sends, each on its core."""

    def __init__(self, mode: Mode, folder: Path, stack: ExitStack, options: Any) -> None:
        self._folder = folder
        self.options = options
        cores = sorted(os.sched_getaffinity(0))
        self._cores = {cores[-1]} if len(cores) > 1 else set(cores)
        self.sink = stack.enter_context(harness.sink(folder / "sink.log"))
        os.sched_setaffinity(self.sink.process.pid, self._cores)
        self.ends = Ends(harness.free_port(), harness.free_port(), [self.sink.grpc])
        config = folder / "collector.yaml"
        compression = {"compression": options.compression}
        config.write_text(
            configuration(mode, self.ends, folder, limit_mib=options.limit, delivery=compression)
        )
        state = folder / "state"
        state.mkdir()
        words = ["taskset", "-c", cores[0], *command(mode, config)]
        log = folder / "collector.log"
        starting = harness.running(words, log, HELIOGRAPH_STATE_DIR=str(state), GOMAXPROCS="1")
        self.collector = stack.enter_context(starting)
        self.collector.ready(self.ends.grpc)

    def herd(self, *options: str | float) -> harness.Herd:
        chosen = self.options
        target = ("--target", f"127.0.0.1:{self.ends.grpc}", "--connections", chosen.connections)
        words = (*target, "--spans", chosen.spans, "--streams", chosen.streams, *options)
        herd = harness.Herd(self._folder / "herd.log", *words)
        os.sched_setaffinity(herd.process.pid, self._cores)
        # What the senders spend on what they are told to keep is not the sink's to lose.
        for task in os.listdir(f"/proc/{herd.process.pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(task), os.getpriority(os.PRIO_PROCESS, 0) + 10)
        return herd

    def spans(self) -> int:
        return self.sink.stats()["spans"]


def steps(seconds: float, length: float) -> Iterator[float]:
    """Sleep through so many seconds; yield how long each step really was."""
    began = time.monotonic()
    while (now := time.monotonic()) - began < seconds - 0.01:
        time.sleep(min(length, seconds - (now - began)))
        yield time.monotonic() - now


def peak(bench: Bench, seconds: float, sender: int) -> float:
    """Spans a second, in the mean."""
    in_flight = max(1, IN_FLIGHT // bench.options.connections)
    herd = bench.herd("--inflight", in_flight, "--sender", sender)
    time.sleep(1)
    began, before = time.monotonic(), bench.spans()
    time.sleep(seconds)
    rate = (bench.spans() - before) / (time.monotonic() - began)
    herd.finish(10)
    return rate


def run(mode: Mode, options: Any) -> Course:
    with tempfile.TemporaryDirectory(prefix="overload-") as name, ExitStack() as stack:
        bench = Bench(mode, Path(name), stack, options)
        course = Course(mode)
        spent = [0.0, 0.0]
        sender = 1
        course.peaks.append(peak(bench, options.peak_seconds, sender))
        while course.seconds < options.seconds - 1:
            sender += 2
            seconds = min(STRETCH, options.seconds - course.seconds)
            stretch(bench, course, seconds, sender, spent)
            course.peaks.append(peak(bench, options.peak_seconds, sender + 1))
            around = statistics.mean(course.peaks[-2:])
            course.shares += [rate / around for rate in course.rates[len(course.shares) :]]
        course.cores = (spent[0] / course.seconds, spent[1] / course.seconds)
        return course


def stretch(bench: Bench, course: Course, seconds: float, sender: int, spent: list[float]) -> None:
    """Overload for so many seconds; add what the collector and the senders spent."""
    top = course.peaks[-1]
    backlog = int(2 * top / bench.options.spans)
    herd = bench.herd("--rate", 2 * top, "--backlog", backlog, "--sender", sender)
    cpu = bench.collector.cpu(), herd.process.cpu()
    before = bench.spans()
    for length in steps(seconds, min(STEP, seconds)):
        now = bench.spans()
        course.rates.append((now - before) / length)
        course.resident.append(resident(bench.collector.pid))
        course.seconds += length
        before = now
        say(course, herd)
    spent[0] += bench.collector.cpu() - cpu[0]
    spent[1] += herd.process.cpu() - cpu[1]
    herd.process.child.terminate()
    herd.process.child.terminate()
    course.reports.append(herd.finish(0))


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


def say(course: Course, herd: harness.Herd) -> None:
    told = herd.latest()
    top, size = course.peaks[-1], course.resident[-1] / MIB
    share = course.rates[-1] / top
    print(
        f"{course.mode} {course.seconds:4.0f} s: {share:4.0%} of {top / 1e3:.0f} k spans/s"
        f", {size:.0f} MiB, refused {told.get('refused', 0):,}, shed {told.get('shed', 0):,}, "
        f"gave up {told.get('unanswered', 0):,}",
        file=sys.stderr,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--peak-seconds", type=float, default=6)
    parser.add_argument("--spans", type=int, default=20, help="in a request")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=100, help="calls on a connection")
    parser.add_argument("--compression", default="none", help="of what the collector sends")
    parser.add_argument("--limit", type=int, default=256, help="limit_mib")
    parser.add_argument("--collectors", default=f"{OURS},{GO}")
    parser.add_argument("--modes", default="delivered,no queue,memory queue")
    parser.add_argument("--write", action="store_true", help="record the table in RESULTS.md")
    options = parser.parse_args()
    harness.build_native()
    collectors, modes = options.collectors.split(","), options.modes.split(",")
    chosen = [mode for mode in MODES if mode.collector in collectors and mode.name in modes]
    courses = [run(mode, options) for mode in chosen]
    text = table(HEADINGS, [course.cells() for course in courses], 2)
    lines = [
        f"{course.mode}: the collector took {course.cores[0]:.2f} cores, "
        f"the senders {course.cores[1]:.2f}"
        for course in courses
    ]
    print(text, *lines, sep="\n")
    if options.write:
        setting = (
            f"`benchmarks/overload.py {' '.join(sys.argv[1:])}`: requests at twice the peak,\n"
            "sent again when told; the peak is measured anew every 20 s. The collector has\n"
            "one core, senders and sink share the other.\n\n"
        )
        record("Overload", setting + text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
