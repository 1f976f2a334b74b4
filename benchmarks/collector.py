"""Measure the collector against the Go collector, rotel and the bare relay, in one run.

``python benchmarks/collector.py [--paths grpc,http] [--collectors heliograph,relay]
[--seconds 4] [--repeats 3] [--write]``. The load generator keeps each collector as busy as it can
be for so many seconds, repeats are interleaved, and what is printed are medians. CPU is that of
the collector's process alone; spans a second is what came out at the sink. The relay always
carries uncompressed traffic: it is the floor of what moving bytes costs here. rotel 0.0.1a15
compresses whatever it is told, which the bytes out show. ``--write`` puts the table into
RESULTS.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from install import PEERS, find

RESULTS = Path(__file__).parent / "RESULTS.md"
EDITS = {
    "resource": {"attributes": [{"key": "environment", "value": "production", "action": "upsert"}]},
    "attributes": {
        "actions": [
            {"key": "team", "value": "checkout", "action": "upsert"},
            {"key": "db.operation.name", "action": "delete"},
        ]
    },
}


@dataclass(frozen=True)
class Route:
    """What is measured: protocol and compression in and out, and the processors between."""

    title: str
    protocol: str = "grpc"
    compression: str = "none"
    processors: Mapping[str, Any] | None = None


ROUTES = {
    "grpc": Route("gRPC → gRPC"),
    "http": Route("HTTP → HTTP", protocol="http"),
    "gzip": Route("gzip in and out", compression="gzip"),
    "zstd": Route("zstd in and out", compression="zstd"),
    "edits": Route("resource + attributes", processors=EDITS),
}


@dataclass(frozen=True)
class Figures:
    """One run, or the medians of several."""

    cpu: float
    """CPU-seconds per million spans."""
    rate: float
    """Spans a second out of the collector."""
    peak: float
    """Largest resident size in bytes."""
    out: float
    """Bytes out per span."""
    p99: float
    """Milliseconds from request to acknowledgement."""
    lost: float
    """Spans acknowledged and not delivered."""


def configuration(route: Route, port: int, sink: harness.Sink) -> str:
    """The configuration both heliograph and the Go collector run (JSON is YAML)."""
    receiver: dict[str, Any] = {"endpoint": f"127.0.0.1:{port}"}
    if route.protocol == "grpc":
        receiver["max_recv_msg_size_mib"] = 16
        exporter = {"endpoint": f"127.0.0.1:{sink.grpc}", "tls": {"insecure": True}}
    else:
        exporter = {"endpoint": f"http://127.0.0.1:{sink.http}"}
    name = "otlp" if route.protocol == "grpc" else "otlphttp"
    processors = dict(route.processors or {})
    pipeline = {"receivers": ["otlp"], "processors": list(processors), "exporters": [name]}
    document = {
        "receivers": {"otlp": {"protocols": {route.protocol: receiver}}},
        "processors": processors,
        "exporters": {name: exporter | {"compression": route.compression}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}},
            "pipelines": {"traces": pipeline},
        },
    }
    return json.dumps(document, indent=2)


def command(
    collector: str, route: Route, port: int, sink: harness.Sink, folder: Path
) -> list[str | Path] | None:
    """How a collector is started for a route; None when it has no way to do it."""
    if collector == "relay":
        to = sink.grpc if route.protocol == "grpc" else sink.http
        ends = ["--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{to}"]
        return [harness.NATIVE / "relay", *ends, "--protocol", route.protocol]
    if collector == "rotel":
        return rotel(route, port, sink)
    config = folder / "config.yaml"
    config.write_text(configuration(route, port, sink))
    if collector == "go":
        peer = find("otelcol")
        return [peer / "otelcol", "--config", config] if peer else None
    return [harness.ROOT / ".venv" / "bin" / "heliograph", "collector", "--config", config]


def rotel(route: Route, port: int, sink: harness.Sink) -> list[str | Path] | None:
    peer = find("rotel")
    if peer is None or route.processors or route.compression == "zstd":
        return None
    agent = next(peer.glob("lib/python*/site-packages/rotel/rotel-agent"))
    grpc, http = port, harness.free_port()
    if route.protocol == "http":
        grpc, http = http, grpc
    to = sink.grpc if route.protocol == "grpc" else sink.http
    return [
        *(agent, "start", "--exporter", "otlp"),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"),
        *("--otlp-http-endpoint", f"127.0.0.1:{http}"),
        *("--otlp-grpc-max-recv-msg-size-mib", "16"),
        *("--otlp-exporter-endpoint", f"http://127.0.0.1:{to}"),
        *("--otlp-exporter-protocol", route.protocol),
        *("--otlp-exporter-compression", route.compression),
    ]


def measure(collector: str, route: Route, options: argparse.Namespace) -> Figures | None:
    """Run one collector on one route once; None when it cannot do the route."""
    with (
        tempfile.TemporaryDirectory() as name,
        harness.sink(Path(name, "sink.log")) as sink,
    ):
        folder, port = Path(name), harness.free_port()
        start = command(collector, route, port, sink, folder)
        if start is None:
            return None
        with harness.running(start, folder / "collector.log") as process:
            process.ready(port)
            compression = "none" if collector == "relay" else route.compression
            before, started = process.cpu(), time.monotonic()
            report = harness.load(
                *("--target", f"127.0.0.1:{port}", "--protocol", route.protocol),
                *("--connections", options.connections, "--inflight", options.inflight),
                *("--seconds", options.seconds, "--compression", compression),
            )
            stats = drained(sink, report["accepted"])
            elapsed = time.monotonic() - started
            if not stats["spans"]:
                log = process.log.read_text()[-1000:]
                raise RuntimeError(f"{collector} delivered nothing: {report}\n{log}")
            return Figures(
                cpu=(process.cpu() - before) / stats["spans"] * 1e6,
                rate=stats["spans"] / elapsed,
                peak=process.peak(),
                out=stats["bytes"] / stats["spans"],
                p99=report["p99_ms"],
                lost=report["accepted"] - stats["spans"],
            )


def drained(sink: harness.Sink, expected: int) -> dict[str, int]:
    """What the sink has when all has come, or when nothing came for two seconds."""
    stats, still = sink.stats(), time.monotonic()
    while stats["spans"] < expected and time.monotonic() - still < 2:
        time.sleep(0.02)
        fresh = sink.stats()
        if fresh["spans"] != stats["spans"]:
            stats, still = fresh, time.monotonic()
    return stats


def median(runs: list[Figures]) -> Figures:
    names = Figures.__dataclass_fields__
    return Figures(
        **{name: statistics.median(getattr(run, name) for run in runs) for name in names}
    )


def table(results: Mapping[str, Mapping[str, Figures]]) -> str:
    """The figures as Markdown; the last two columns compare with the relay in the same run."""
    lines = [
        "| path | collector | CPU-s/M spans | k spans/s | peak MiB | bytes out/span | p99 ms "
        "| lost | CPU x relay | rate ÷ relay |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for path, row in results.items():
        floor = row.get("relay")
        for collector, got in row.items():
            cpu = f"{got.cpu / floor.cpu:.2f}" if floor else ""
            rate = f"{got.rate / floor.rate:.2f}" if floor else ""
            lines.append(
                f"| {ROUTES[path].title} | {collector} | {got.cpu:.2f} | {got.rate / 1e3:.0f} "
                f"| {got.peak / 2**20:.0f} | {got.out:.0f} | {got.p99:.1f} | {got.lost:.0f} "
                f"| {cpu} | {rate} |"
            )
    return "\n".join(lines)


def targets(results: Mapping[str, Mapping[str, Figures]]) -> list[str]:
    """What is wanted and not reached."""
    missed = []
    for path, row in results.items():
        ours, floor, go = (row.get(name) for name in ("heliograph", "relay", "go"))
        if ours is None:
            continue
        if floor and path in ("grpc", "http"):
            if ours.cpu > 1.4 * floor.cpu:
                missed.append(f"{path}: {ours.cpu / floor.cpu:.2f} x the relay's CPU, not 1.4")
            if ours.rate < 0.75 * floor.rate:
                missed.append(f"{path}: {ours.rate / floor.rate:.2f} of the relay's rate, not 0.75")
        bound = {"gzip": 4.0, "zstd": 1.5, "edits": 1.0}.get(path)
        if bound and ours.cpu > bound:
            missed.append(f"{path}: {ours.cpu:.2f} CPU-s/M, not {bound}")
        if go and path == "gzip" and ours.out > 1.2 * go.out:
            missed.append(f"{path}: {ours.out / go.out:.2f} x Go's bytes out, not 1.2")
        if ours.lost:
            missed.append(f"{path}: {ours.lost:.0f} acknowledged spans were not delivered")
    return missed


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = Path("/proc/cpuinfo").read_text().count("processor\t:")
    versions = f"Go collector {PEERS['otelcol'].version}, rotel {PEERS['rotel'].version}"
    return f"{cores} x {model}, CPython {platform.python_version()}; {versions}"


def write(text: str, options: argparse.Namespace) -> None:
    """Put this run at the top of RESULTS.md, under its heading."""
    heading = "# Results\n"
    before = RESULTS.read_text().removeprefix(heading) if RESULTS.exists() else ""
    setting = (
        f"Requests of 512 spans x 10 attributes (423 bytes a span), {options.connections} "
        f"connections x {options.inflight} in flight, medians of {options.repeats} interleaved "
        f"runs of {options.seconds:g} s."
    )
    title = f"## Collector, {datetime.date.today()}"
    entry = "\n".join(["", title, "", f"{machine()}. {setting}", "", text, ""])
    RESULTS.write_text(heading + entry + before)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--paths", default=",".join(ROUTES))
    parser.add_argument("--collectors", default="heliograph,relay,go,rotel")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--inflight", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    harness.build_native()
    runs: dict[str, dict[str, list[Figures]]] = {}
    for path in options.paths.split(","):
        for turn in range(options.repeats):
            for collector in options.collectors.split(","):
                got = measure(collector, ROUTES[path], options)
                if got is None:
                    continue
                runs.setdefault(path, {}).setdefault(collector, []).append(got)
                print(
                    f"{path} {turn + 1}/{options.repeats} {collector}: {got.cpu:.2f} CPU-s/M, "
                    f"{got.rate / 1e3:.0f} k spans/s, lost {got.lost:.0f}",
                    file=sys.stderr,
                )
    results = {
        path: {collector: median(figures) for collector, figures in row.items()}
        for path, row in runs.items()
    }
    text = table(results)
    missed = targets(results)
    print(text)
    print("\n".join(["", *missed]) if missed else "")
    if options.write:
        write(text, options)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
