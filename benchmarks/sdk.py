"""What tracing costs a program: this SDK and the official one, in turn, in one run.

    python benchmarks/sdk.py [--record]

CPU time of the process an operation, its export thread included. `--record` writes RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import opentelemetry.sdk.trace as official
import opentelemetry.sdk.trace.export as official_export
import opentelemetry.sdk.trace.sampling as official_sampling
import sdk_propagation
import table
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

import heliograph.sdk.trace as ours
import heliograph.sdk.trace.export as our_export
import heliograph.sdk.trace.sampling as our_sampling

ROUNDS = 9
ATTRIBUTES = {f"key.{number}": number if number % 3 else f"value {number}" for number in range(10)}
ITEMS = list(ATTRIBUTES.items())
EVENT = {"attempt": 1, "reason": "busy"}
Work = Callable[[Any, int], None]


class Discard(official_export.SpanExporter):
    """An exporter of objects that throws them away."""

    def export(self, spans: Any) -> official_export.SpanExportResult:
        return official_export.SpanExportResult.SUCCESS


class DiscardBytes(our_export.SpanExporter):
    """An exporter of bytes that throws them away."""

    def export_batch(self, batch: Any, timeout: float) -> bool:
        return True


class Encode(Discard):
    """An exporter that encodes before it throws away."""

    def export(self, spans: Any) -> official_export.SpanExportResult:
        encode_spans(spans).SerializeToString()
        return official_export.SpanExportResult.SUCCESS


def start_end(tracer: Any, count: int) -> None:
    for _ in range(count):
        tracer.start_span("operation").end()


def current(tracer: Any, count: int) -> None:
    for _ in range(count):
        with tracer.start_as_current_span("operation"):
            pass


def given(tracer: Any, count: int) -> None:
    for _ in range(count):
        with tracer.start_as_current_span("operation", attributes=ATTRIBUTES) as span:
            span.add_event("event", EVENT)


def set_one_by_one(tracer: Any, count: int) -> None:
    for _ in range(count):
        with tracer.start_as_current_span("operation") as span:
            for key, value in ITEMS:
                span.set_attribute(key, value)
            span.add_event("event", EVENT)


def nested(tracer: Any, count: int) -> None:
    start = tracer.start_as_current_span
    for _ in range(count):
        with start("one"), start("two"), start("three"):
            pass


@dataclass(frozen=True)
class Case:
    """One row: the same work on both sides, and the part of the official cost that is wanted."""

    name: str
    work: Work
    mine: Callable[[], Any]
    theirs: Callable[[], Any]
    target: int | None = None


def mine(exporter: Any = None, sampler: Any = None) -> Any:
    provider = ours.TracerProvider(sampler=sampler)
    if exporter is not None:
        provider.add_span_processor(our_export.BatchSpanProcessor(exporter))
    return provider


def theirs(exporter: Any = None, sampler: Any = None) -> Any:
    provider = official.TracerProvider(sampler=sampler)
    if exporter is not None:
        processor = official_export.BatchSpanProcessor(exporter, max_queue_size=1_000_000)
        provider.add_span_processor(processor)
    return provider


def never(make: Callable[..., Any], module: Any) -> Callable[[], Any]:
    return lambda: make(sampler=module.TraceIdRatioBased(0))


UNSAMPLED = (never(mine, our_sampling), never(theirs, official_sampling))

CASES = [
    Case("a start_span and end, no processor", start_end, mine, theirs),
    Case("a2 start_as_current_span, no processor", current, mine, theirs),
    Case("b0 10 attributes and event, no processor", given, mine, theirs),
    Case("b0s 10 set_attribute and event, no processor", set_one_by_one, mine, theirs),
    Case(
        "b 10 attributes and event, batch processor, discarded",
        given,
        lambda: mine(DiscardBytes()),
        lambda: theirs(Discard()),
        15,
    ),
    Case(
        "b the same, both exporters take objects",
        given,
        lambda: mine(Discard()),
        lambda: theirs(Discard()),
    ),
    Case(
        "bs 10 set_attribute and event, batch processor, discarded",
        set_one_by_one,
        lambda: mine(DiscardBytes()),
        lambda: theirs(Discard()),
        15,
    ),
    Case(
        "be as b, both encode",
        given,
        lambda: mine(DiscardBytes()),
        lambda: theirs(Encode()),
        25,
    ),
    Case(
        "d three nested spans, batch processor, discarded",
        nested,
        lambda: mine(DiscardBytes()),
        lambda: theirs(Discard()),
    ),
    Case("c unsampled, 10 attributes and event", given, *UNSAMPLED, 6),
    Case("c2 unsampled start_span and end", start_end, *UNSAMPLED, 6),
]


def cost(work: Work, provider: Any, count: int) -> float:
    """CPU nanoseconds an operation, until everything is exported."""
    tracer = provider.get_tracer("benchmark")
    began = time.process_time_ns()
    work(tracer, count)
    assert provider.force_flush()
    return (time.process_time_ns() - began) / count


def measure(case: Case) -> tuple[float, float]:
    """Median of both sides, in turn."""
    providers = (case.mine(), case.theirs())
    counts = (20_000, 2_000)
    found: tuple[list[float], list[float]] = ([], [])
    for provider, count in zip(providers, counts, strict=True):
        cost(case.work, provider, count // 10)
    for _ in range(ROUNDS):
        for provider, count, costs in zip(providers, counts, found, strict=True):
            costs.append(cost(case.work, provider, count))
    return statistics.median(found[0]), statistics.median(found[1])


SINK = """
import sys
sys.path.insert(0, "tests")
from exporters.backends import GrpcBackend
from heliograph.otlp import Batch, Signal
backend = GrpcBackend()
print(backend.port, flush=True)
sys.stdin.readline()
print(sum(Batch(Signal.TRACES, one.body).items for one in backend.received), flush=True)
backend.stop()
"""

CLIENT = """
import json, sys, time
from {sdk}.trace import TracerProvider
from {sdk}.trace.export import BatchSpanProcessor
from {exporter}.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
attributes = {attributes!r}
provider = TracerProvider()
exporter = OTLPSpanExporter(endpoint="http://127.0.0.1:{port}", insecure=True)
provider.add_span_processor(BatchSpanProcessor(exporter{options}))
tracer = provider.get_tracer("benchmark")
made, end = 0, time.monotonic() + {seconds}
while time.monotonic() < end:
    for _ in range(100):
        with tracer.start_as_current_span("operation", attributes=attributes) as span:
            span.add_event("event", {event!r})
    made += 100
provider.shutdown()
print(json.dumps([made, time.process_time()]))
"""


def end_to_end(sdk: str, exporter: str, options: str, seconds: float = 5) -> tuple[int, int, float]:
    """Spans made and delivered, flat out for so long, and CPU µs a delivered span."""
    command = [sys.executable, "-c", SINK]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sink:
        assert sink.stdin is not None
        assert sink.stdout is not None
        port = sink.stdout.readline().strip()
        program = CLIENT.format(
            sdk=sdk,
            exporter=exporter,
            port=port,
            options=options,
            seconds=seconds,
            attributes=ATTRIBUTES,
            event=EVENT,
        )
        ended = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
        )
        made, cpu = json.loads(ended.stdout)
        sink.stdin.write("\n")
        sink.stdin.flush()
        delivered = int(sink.stdout.readline())
    return made, delivered, cpu / delivered * 1e6


IMPORT = """
import re, time
import opentelemetry.trace
def resident():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmRSS:\\s+(\\d+)", status.read())[1])
before, began = resident(), time.process_time()
from {sdk}.trace import TracerProvider
from {sdk}.trace.export import BatchSpanProcessor
from {exporter}.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
print((time.process_time() - began) * 1000, (resident() - before) / 1024)
"""


def imports(sdk: str, exporter: str) -> tuple[float, float]:
    """CPU ms and MiB that SDK and exporter add to the API."""
    program = IMPORT.format(sdk=sdk, exporter=exporter)
    # The first run compiles what is not, as installing a package does.
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONDONTWRITEBYTECODE"}
    found = []
    for _ in range(5):
        run = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        found.append([float(number) for number in run.stdout.split()])
    return min(time for time, _ in found), min(memory for _, memory in found)


OURS = ("heliograph.sdk", "heliograph.sdk.exporter")
OFFICIAL = ("opentelemetry.sdk", "opentelemetry.exporter")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    rows = []

    def add(name: str, unit: str, found: tuple[float, float], target: int | None) -> None:
        wanted = "" if target is None else f"1/{target}"
        digits = 0 if unit == "ns" else 1
        sides = [f"{side:.{digits}f} {unit}" for side in found]
        rows.append([name, *sides, f"1/{found[1] / found[0]:.1f}", wanted])
        print(" | ".join(rows[-1]), flush=True)

    for case in CASES:
        add(case.name, "ns", measure(case), case.target)
    sdk_propagation.check()
    for name, work in sdk_propagation.CASES.items():
        add(name, "ns", sdk_propagation.measure(work), 3)
    our_import, their_import = imports(*OURS), imports(*OFFICIAL)
    add("l import of SDK and gRPC exporter, time", "ms", (our_import[0], their_import[0]), 4)
    add("l the same, memory", "MiB", (our_import[1], their_import[1]), None)
    mine_n = end_to_end(*OURS, ', when_full="block", block_millis=30000')
    theirs_n = end_to_end(*OFFICIAL, "")
    add("n flat out to a gRPC sink, a delivered span", "µs", (mine_n[2], theirs_n[2]), 15)
    lost = [f"{(1 - delivered / made) * 100:.1f} %" for made, delivered, _ in (mine_n, theirs_n)]
    rows.append(["n lost meanwhile", *lost, "", ""])
    print(" | ".join(rows[-1]))
    text = table.table(["case", "heliograph", "official", "ratio", "target"], rows, 1)
    if options.record:
        about = (
            f"CPU an operation, medians of {ROUNDS} rounds in turn; `benchmarks/sdk.py`. Both\n"
            "sides export all that they recorded within the time measured. In row b our exporter\n"
            "takes bytes and the official one objects, as their OTLP exporters do; be adds the\n"
            "encoding that the official side still has to do."
        )
        table.record("SDK: traces", f"{about}\n\n{text}")


if __name__ == "__main__":
    main()
