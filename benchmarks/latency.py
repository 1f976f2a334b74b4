"""One official SDK process into the founding configuration; then a second sink behind one name.

``python benchmarks/latency.py [--seconds 20] [--only founding|sinks]``. First: 2 000 spans a
second, none lost, export calls under 200 ms at p99. Then the collector is pointed at one name that
gets a second address while it sends: the load has to spread; then one of the two is killed:
nothing may be lost. Names are given to the collector by a hosts file of its own, so this needs
`unshare`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import harness
from install import find

EXAMPLE = harness.ROOT / "examples" / "otel-collector-config.yaml"
HELIOGRAPH = harness.ROOT / ".venv" / "bin" / "heliograph"
RATE = 2000


@contextmanager
def client(port: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """The SDK's process, sending for so many seconds."""
    peer = find("pyclient")
    if peer is None:
        raise SystemExit("the official SDK is not installed: make interop-peers")
    script = Path(__file__).parent / "sdk_client.py"
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_SERVICE_NAME": "latency",
        # Room for two seconds, so that what is lost is not lost by the SDK.
        "OTEL_BSP_MAX_QUEUE_SIZE": str(2 * RATE),
    }
    with subprocess.Popen(
        [peer / "bin" / "python", script, str(RATE), str(seconds)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def report(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=120)
    return dict(json.loads(out))


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def founding(seconds: float) -> list[str]:
    """The example as it stands, at 2 000 spans a second; returns what was found."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        hosts = folder / "hosts"
        hosts.write_text("127.0.0.1 localhost loki\n::1 tempo\n")
        options = ("--grpc", "[::1]:4317")
        sink = stack.enter_context(harness.sink(folder / "sink.log", *options))
        command = harness.within_hosts([HELIOGRAPH, "collector", "--config", EXAMPLE], hosts)
        collector = stack.enter_context(harness.running(command, folder / "collector.log"))
        collector.ready(4317)
        cpu = collector.cpu()
        with client(4317, seconds) as process:
            got = report(process)
        spent = collector.cpu() - cpu
        spans = sink.stats()["spans"]
        collector.stop()
        straight = stack.enter_context(harness.sink(folder / "straight.log"))
        with client(straight.grpc, seconds) as process:
            direct = report(process)["calls_ms"]
    calls = got["calls_ms"]
    p99 = percentile(calls, 0.99)
    lines = [
        f"founding example, {RATE} spans/s for {seconds:g} s: {got['made']} made, {spans} at the "
        f"sink, {len(calls)} export calls, median {statistics.median(calls):.1f} ms, p99 {p99:.1f} "
        f"ms, largest {max(calls):.1f} ms; the collector took {spent / seconds:.3f} of a core; "
        f"straight into the sink: median {statistics.median(direct):.1f} ms, p99 "
        f"{percentile(direct, 0.99):.1f} ms"
    ]
    if spans != got["made"]:
        lines.append(f"MISSED: {got['made'] - spans} of {got['made']} spans were lost")
    if p99 >= 200:
        lines.append(f"MISSED: p99 of the export calls is {p99:.0f} ms, not below 200")
    return lines


def recorded(path: Path) -> set[bytes]:
    """Ids of the spans in a sink's record, readable after it was killed."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415
        ExportTraceServiceRequest,
    )

    data, at, ids = path.read_bytes(), 0, set()
    while at < len(data):
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "big")
        if end > len(data):
            break  # it is being written
        message = ExportTraceServiceRequest.FromString(data[at + 5 : end])
        scopes = (scope for resource in message.resource_spans for scope in resource.scope_spans)
        ids.update(span.span_id for scope in scopes for span in scope.spans)
        at = end
    return ids


def two_sinks() -> list[str]:
    """A second address for the sink's name is added, then one of the two is killed.

    Names are looked up each 30 s while all is well, so this sends for a minute.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        hosts = folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n127.0.0.2 backend\n")
        port, entrance = harness.free_port(), harness.free_port()
        config = folder / "config.yaml"
        config.write_text(
            f"receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{entrance}'}}}}}}}}\n"
            f"exporters: {{otlp: {{endpoint: 'backend:{port}', tls: {{insecure: true}}}}}}\n"
            "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}\n"
        )

        def start(number: int) -> harness.Process:
            address, record = f"127.0.0.{number}:{port}", folder / f"{number}.bin"
            command = [harness.NATIVE / "sink", "--grpc", address, "--record", record]
            process = stack.enter_context(harness.running(command, folder / f"{number}.log"))
            process.first_line()
            return process

        first = start(2)
        command = harness.within_hosts([HELIOGRAPH, "collector", "--config", config], hosts)
        collector = stack.enter_context(harness.running(command, folder / "collector.log"))
        collector.ready(entrance)
        records = [folder / "2.bin", folder / "3.bin"]

        def size(number: int) -> int:
            return records[number].stat().st_size

        with client(entrance, 60) as process:
            harness.wait_until(lambda: size(0) > 0, 20, "load at the first sink")
            start(3)
            hosts.write_text("127.0.0.1 localhost\n127.0.0.2 backend\n127.0.0.3 backend\n")
            added = time.monotonic()
            harness.wait_until(lambda: size(1) > 0, 40, "load at the second sink")
            spread = time.monotonic() - added
            harness.wait_until(lambda: size(1) > size(0) / 10, 20, "load at both")
            first.child.kill()
            killed = [len(recorded(path)) for path in records]
            got = report(process)
        taken = list(map(recorded, records))
        log = (folder / "collector.log").read_text()
    arrived = len(taken[0] | taken[1])
    lines = [
        f"two sinks behind one name: the second had load {spread:.1f} s after it was added; one "
        f"was killed when they had {killed[0]} + {killed[1]} spans; {got['made']} made, "
        f"{got['succeeded']} acknowledged, {arrived} at the sinks; slowest export call "
        f"{max(got['calls_ms']):.0f} ms"
    ]
    if arrived < got["made"]:
        lines.append(f"MISSED: {got['made'] - arrived} spans were lost\n{log[-2000:]}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", choices=["founding", "sinks"])
    options = parser.parse_args()
    harness.build_native()
    lines = []
    if options.only != "sinks":
        lines += founding(options.seconds)
    if options.only != "founding":
        lines += two_sinks()
    print("\n".join(lines))
    return int(any(line.startswith("MISSED") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
