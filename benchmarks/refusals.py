"""What a refusal costs while the memory limiter refuses, and when the refused come again.

``python benchmarks/refusals.py [--seconds 5] [--collectors heliograph,go] [--write]``. A backend
that stalls fills the collector up to its limit; then other senders ask, with a few requests in
flight, and are all refused. CPU is the collector's, over all that it refused, those that fill it
among them; ``told`` is the
delay that the refused hear. The Go collector's limiter reads its heap, which a stalled backend
does not fill beyond its limit for long: a limit below what it takes at rest makes it refuse.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from modes import DELIVERED, GO, GO_PLAIN, OURS, Ends, Mode, command, configuration
from table import record, table

SMALL, LARGE = 20, 480
"""Spans of a request of 8 kB and of 200 kB."""
LIMITS = {OURS: 80, GO: 8}
HEADINGS = (
    *("protocol", "body", "collector", "CPU µs a refusal", "refusals/s"),
    *("p50 ms", "p99 ms", "told p50 s", "told from, to"),
)


@dataclass
class Cost:
    micros: float
    rate: float
    report: dict[str, Any]

    def cells(self) -> list[str]:
        refuse, told = self.report["refuse_ms"], self.report["told_ms"]
        spread = f"{told['min'] / 1e3:.2f}, {told['max'] / 1e3:.2f}" if told["count"] else "nothing"
        return [
            f"{self.micros:.0f}",
            f"{self.rate:,.0f}",
            f"{refuse['p50']:.2f}",
            f"{refuse['p99']:.2f}",
            f"{told['p50'] / 1e3:.2f}" if told["count"] else "",
            spread,
        ]


def measure(mode: Mode, protocol: str, spans: int, seconds: float) -> Cost:
    with tempfile.TemporaryDirectory(prefix="refusals-") as name, ExitStack() as stack:
        folder = Path(name)
        sink = stack.enter_context(harness.sink(folder / "sink.log"))
        ends = Ends(harness.free_port(), harness.free_port(), [sink.grpc])
        config = folder / "collector.yaml"
        config.write_text(configuration(mode, ends, folder, limit_mib=LIMITS[mode.collector]))
        state = folder / "state"
        state.mkdir()
        log = folder / "collector.log"
        starting = harness.running(command(mode, config), log, HELIOGRAPH_STATE_DIR=str(state))
        collector = stack.enter_context(starting)
        collector.ready(ends.grpc)
        fill = None
        if mode.collector == OURS:
            sink.mood("stall")
            target = ("--target", f"127.0.0.1:{ends.grpc}", "--spans", LARGE)
            fill = harness.Herd(folder / "fill.log", *target, "--inflight", 400)
            stack.callback(fill.process.child.kill)
            time.sleep(1.5)
        port = ends.http if protocol == "http" else ends.grpc
        target = ("--target", f"127.0.0.1:{port}", "--protocol", protocol, "--spans", spans)
        # As many as come again in time to keep it busy.
        herd = harness.Herd(
            folder / "herd.log", *target, "--inflight", 100, "--sender", 2, "--streams", 200
        )
        stack.callback(herd.process.child.kill)
        filling = lambda: 0 if fill is None else int(fill.latest().get("refused", 0))  # noqa: E731
        before = filling()
        cpu, began = collector.cpu(), time.monotonic()
        time.sleep(seconds)
        herd.process.child.terminate()
        report = herd.finish(0)
        spent, length = collector.cpu() - cpu, time.monotonic() - began
        count = report["refused"] + filling() - before
        return Cost(1e6 * spent / max(count, 1), count / length, report)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--collectors", default=f"{OURS},{GO}")
    parser.add_argument("--write", action="store_true", help="record the table in RESULTS.md")
    options = parser.parse_args()
    harness.build_native()
    rows = []
    for protocol in ("grpc", "http"):
        for spans, body in ((SMALL, "8 kB"), (LARGE, "200 kB")):
            for mode in (DELIVERED, GO_PLAIN):
                if mode.collector not in options.collectors.split(","):
                    continue
                cost = measure(mode, protocol, spans, options.seconds)
                rows.append([protocol, body, mode.collector, *cost.cells()])
                print(" | ".join(rows[-1]), file=sys.stderr)
    text = table(HEADINGS, rows, 3)
    print(text)
    if options.write:
        setting = (
            f"`benchmarks/refusals.py --seconds {options.seconds:g}`. CPU is all that the "
            "collector takes,\ndivided by its refusals. No ratio is given: the Go collector tells "
            "no delay, so its senders wait\nlonger and are refused far less often, and its limit "
            "is below what it takes at rest, so that\nwhat it does besides refusing weighs more."
            "\n\n"
        )
        record("Refusals", setting + text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
