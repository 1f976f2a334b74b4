"""What a log line costs: our handler, a console's, and the official one, interleaved in one run.

    python benchmarks/sdk_logs.py [--rounds N] [--json FILE]

``logging.info("user %d", 5)`` inside a sampled span, through a logger with one handler. Each side
runs in turns, a short slice at a time, so that what else the machine does falls on all of them. The
figure is the CPU time of the process for one line, the median over the rounds; ours and the
official one hand what they collect to an exporter that discards it, on threads of their own whose
time counts. Before anything is timed, both are shown to deliver the line.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import context, trace
from opentelemetry.sdk import _logs as official
from opentelemetry.sdk._logs import export as official_export

from heliograph import _core
from heliograph.sdk import logs
from heliograph.sdk.logs import export

SLICE_S = 0.05
TARGET_US = 2.0


class Discard(export.LogRecordExporter):
    """Counts what a batch processor hands over as bytes."""

    items = 0

    def export_batch(self, batch: _core.Batch, timeout: float) -> bool:
        self.items += batch.items
        return True


class OfficialDiscard(official_export.LogRecordExporter):
    """Counts what the official processor hands over, without encoding it."""

    items = 0

    def export(self, batch: Sequence[Any]) -> official_export.LogRecordExportResult:
        self.items += len(batch)
        return official_export.LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def logger(handler: logging.Handler) -> Callable[[], None]:
    made = logging.Logger("benchmark", logging.INFO)
    made.addHandler(handler)
    return lambda: made.info("user %d", 5)


def sides(
    discard: Discard, processor: export.BatchLogRecordProcessor
) -> dict[str, Callable[[], None]]:
    official_discard = OfficialDiscard()
    ours = logs.LoggerProvider(shutdown_on_exit=False)
    ours.add_log_record_processor(processor)
    theirs = official.LoggerProvider(shutdown_on_exit=False)
    theirs.add_log_record_processor(official_export.BatchLogRecordProcessor(official_discard))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        official_handler = official.LoggingHandler(logger_provider=theirs)
    found = {
        "no handler": logger(logging.NullHandler()),
        "StreamHandler(devnull)": logger(logging.StreamHandler(open(os.devnull, "w"))),  # noqa: SIM115
        "ours": logger(logs.LoggingHandler(logger_provider=ours)),
        "official": logger(official_handler),
    }
    found["ours"]()
    found["official"]()
    assert ours.force_flush()
    assert theirs.force_flush()
    assert (discard.items, official_discard.items) == (1, 1)
    return found


def slice_of(line: Callable[[], None]) -> float:
    """Return the microseconds of one line."""
    done, start = 0, time.process_time()
    end = start + SLICE_S
    while time.process_time() < end:
        for _ in range(200):
            line()
        done += 200
    return (time.process_time() - start) / done * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="What a log line costs.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False, trace_flags=flags))
    context.attach(trace.set_span_in_context(span))
    discard = Discard()
    processor = export.BatchLogRecordProcessor(discard)
    lines = sides(discard, processor)
    times: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(arguments.rounds):
        for name, line in lines.items():
            times[name].append(slice_of(line))
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, median in medians.items():
        print(f"{name:24} {median:7.2f} µs a line ({min(times[name]):.2f}-{max(times[name]):.2f})")
    more = medians["ours"] - medians["StreamHandler(devnull)"]
    print(f"ours - StreamHandler     {more:+7.2f} µs (target: at most +{TARGET_US})")
    print(f"official / ours          {medians['official'] / medians['ours']:7.1f}")
    assert processor.force_flush()
    print(f"ours delivered {discard.items} lines and dropped {processor.dropped}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"microseconds": medians, "more_than_stream_handler": more}, file, indent=2)


if __name__ == "__main__":
    main()
