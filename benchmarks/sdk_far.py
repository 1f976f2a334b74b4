"""A program that records 50 000 spans a second, and a gRPC endpoint that answers after 50 ms.

Default settings on both sides, one after the other: what is dropped, and what recording and
exporting cost. ``--record`` writes the table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import table

RATE, SECONDS, AWAY_S = 50_000, 10, 0.05

SINK = """
import sys, time
sys.path.insert(0, "tests")
from exporters.backends import GrpcBackend
from heliograph.otlp import Batch, Signal
def far(context):
    time.sleep({away})
    return b""
backend = GrpcBackend(far)
print(backend.port, flush=True)
sys.stdin.readline()
print(sum(Batch(Signal.TRACES, one.body).items for one in backend.received), flush=True)
backend.stop()
"""

CLIENT = """
import json, logging, time
logging.disable()
from {sdk}.trace import TracerProvider
from {sdk}.trace.export import BatchSpanProcessor
from {exporter}.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
exporter = OTLPSpanExporter("127.0.0.1:{port}", insecure=True)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer("benchmark")
attributes = {{f"key{{number}}": "some value" for number in range(10)}}
made, began = 0, time.monotonic()
while (passed := time.monotonic() - began) < {seconds}:
    for _ in range(min(1000, int(passed * {rate}) - made)):
        tracer.start_span("operation", attributes=attributes).end()
        made += 1
    time.sleep(0.001)
provider.shutdown()
print(json.dumps([made, time.process_time()]))
"""


def run(sdk: str, exporter: str) -> list[str]:
    """Return spans recorded a second, the share that arrived not, and CPU µs a delivered span."""
    with subprocess.Popen(
        [sys.executable, "-c", SINK.format(away=AWAY_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sink:
        assert sink.stdin is not None
        assert sink.stdout is not None
        port = sink.stdout.readline().strip()
        program = CLIENT.format(sdk=sdk, exporter=exporter, port=port, seconds=SECONDS, rate=RATE)
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        made, cpu = json.loads(ended.stdout)
        sink.stdin.write("\n")
        sink.stdin.flush()
        delivered = int(sink.stdout.readline())
    lost = f"{(1 - delivered / made) * 100:.1f} %"
    return [f"{made / SECONDS:,.0f}".replace(",", " "), lost, f"{cpu / delivered * 1e6:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    rows = [
        ["heliograph", *run("heliograph.sdk", "heliograph.sdk.exporter")],
        ["official", *run("opentelemetry.sdk", "opentelemetry.exporter")],
    ]
    text = table.table(["SDK", "recorded a second", "lost", "CPU µs a delivered span"], rows, 1)
    print(text)
    assert rows[0][2] == "0.0 %", "ours loses spans"
    if options.record:
        about = (
            f"{RATE:,} spans a second wanted for {SECONDS} s, 10 attributes each; "
            f"`benchmarks/sdk_far.py`.\nThe gRPC endpoint answers after {AWAY_S * 1000:.0f} ms. "
            "Default settings on both sides."
        ).replace(",", " ", 1)
        table.record("SDK: a far endpoint", f"{about}\n\n{text}")


if __name__ == "__main__":
    main()
