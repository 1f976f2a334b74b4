"""The same traffic through the Go collector and through ours comes out the same, item by item.

A Go collector in front re-sends what it gets to both, once in each protocol, encoding and
compression that its exporters know; both pass it on to recording sinks, over gRPC and over HTTP,
and write it to files as OTLP/JSON.
"""

from __future__ import annotations

import json
import struct
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import pytest
from google.protobuf.message import Message
from install import find
from traffic import REQUESTS, Maker, items

SIGNALS = ("traces", "metrics", "logs")
GRPC = [f"grpc-{how}" for how in ("none", "gzip", "zstd", "snappy")]
PROTO = [
    f"proto-{how}"
    for how in ("none", "gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4")
]
JSON = [f"json-{how}" for how in ("none", "gzip", "zstd")]
VARIANTS = [*GRPC, *PROTO, *JSON]
QUIET = {"metrics": {"level": "none"}, "logs": {"level": "warn"}}
Recorded = dict[tuple[str, str], Counter[bytes]]


@dataclass(frozen=True)
class Ports:
    grpc: int
    http: int

    @classmethod
    def free(cls) -> Ports:
        return cls(harness.free_port(), harness.free_port())


def exporter(variant: str, to: Ports) -> tuple[str, dict[str, Any]]:
    """An exporter's type and configuration for a variant."""
    encoding, _, compression = variant.partition("-")
    if encoding == "grpc":
        address = {"endpoint": f"127.0.0.1:{to.grpc}", "tls": {"insecure": True}}
        return "otlp", address | {"compression": compression}
    address = {"endpoint": f"http://127.0.0.1:{to.http}", "encoding": encoding}
    return "otlphttp", address | {"compression": compression}


def front(entrances: dict[str, int], targets: dict[str, Ports]) -> dict[str, Any]:
    """One entrance a variant, re-sent to every target in that variant."""
    document: dict[str, Any] = {
        "receivers": {},
        "exporters": {},
        "service": {"telemetry": QUIET, "pipelines": {}},
    }
    for variant, port in entrances.items():
        receiver = f"otlp/{variant}"
        protocols = {"http": {"endpoint": f"127.0.0.1:{port}"}}
        document["receivers"][receiver] = {"protocols": protocols}
        exporters = []
        for name, ports in targets.items():
            kind, config = exporter(variant, ports)
            exporters.append(f"{kind}/{variant}-{name}")
            document["exporters"][exporters[-1]] = config
        for signal in SIGNALS:
            pipeline = {"receivers": [receiver], "exporters": exporters}
            document["service"]["pipelines"][f"{signal}/{variant}"] = pipeline
    return document


def passing_on(
    ports: Ports, over_grpc: harness.Sink, over_http: harness.Sink, file: Path
) -> dict[str, Any]:
    """What both collectors under comparison run."""
    protocols = {
        "grpc": {"endpoint": f"127.0.0.1:{ports.grpc}"},
        "http": {"endpoint": f"127.0.0.1:{ports.http}"},
    }
    exporters = {
        "otlp": {
            "endpoint": f"127.0.0.1:{over_grpc.grpc}",
            "tls": {"insecure": True},
            "compression": "zstd",
        },
        "otlphttp": {"endpoint": f"http://127.0.0.1:{over_http.http}", "compression": "gzip"},
        "file": {"path": str(file)},
    }
    pipeline = {"receivers": ["otlp"], "exporters": list(exporters)}
    return {
        "receivers": {"otlp": {"protocols": protocols}},
        "exporters": exporters,
        "service": {"telemetry": QUIET, "pipelines": dict.fromkeys(SIGNALS, pipeline)},
    }


def post(port: int, signal: str, message: Message) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/{signal}",
        data=message.SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def recorded(path: Path) -> Recorded:
    """What a recording sink has taken: items with their number, by signal and service."""
    found: Recorded = {}
    data, at = path.read_bytes(), 0
    while at < len(data):
        letter, length = struct.unpack_from(">cI", data, at)
        signal = {b"t": "traces", b"m": "metrics", b"l": "logs"}[letter]
        message = REQUESTS[signal].FromString(data[at + 5 : at + 5 + length])
        at += 5 + length
        for service, item in items(message):
            found.setdefault((signal, service), Counter())[item] += 1
    return found


def written(path: Path) -> Recorded:
    """What a file exporter has written: items as JSON, by signal and service."""
    found: Recorded = {}
    for line in path.read_bytes().splitlines():
        ((kind, resources),) = json.loads(line).items()
        signal = kind.removeprefix("resource").lower().replace("spans", "traces")
        for resource in resources:
            service = resource["resource"]["attributes"][0]["value"]["stringValue"]
            for scope in resource.pop(kind.replace("resource", "scope")):
                names = ("spans", "metrics", "logRecords")
                for item in scope.pop(next(name for name in names if name in scope)):
                    text = json.dumps([resource, scope, item], sort_keys=True).encode()
                    found.setdefault((signal, service), Counter())[text] += 1
    return found


def command(name: str, config: Path) -> list[str | Path]:
    if name == "heliograph":
        return [harness.ROOT / ".venv" / "bin" / "heliograph", "collector", "--config", config]
    peer = find("otelcol")
    assert peer is not None
    return [peer / "otelcol", "--config", config]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Recorded]]:
    """What came out of each collector: ``go-grpc``, ``go-http``, ``heliograph-grpc``, ..."""
    folder = tmp_path_factory.mktemp("equality")
    maker = Maker(seed=20261123)
    sent = {(s, v): maker.request(s, v) for v in VARIANTS for s in SIGNALS}
    wanted = sum(len(list(items(message))) for message in sent.values())
    names = ("go", "heliograph")
    targets = {name: Ports.free() for name in names}
    entrances = {variant: harness.free_port() for variant in VARIANTS}
    records = {f"{n}-{p}": folder / f"{n}-{p}.bin" for n in names for p in ("grpc", "http")}
    processes: list[harness.Process] = []

    def start(words: list[str | Path], log: str) -> harness.Process:
        processes.append(harness.Process(words, folder / log))
        return processes[-1]

    try:
        sinks = {
            name: harness.Sink(start([harness.NATIVE / "sink", "--record", path], f"{name}.log"))
            for name, path in records.items()
        }
        for name, ports in targets.items():
            config = folder / f"{name}.yaml"
            file = folder / f"{name}.jsonl"
            document = passing_on(ports, sinks[f"{name}-grpc"], sinks[f"{name}-http"], file)
            config.write_text(json.dumps(document))
            process = start(command(name, config), f"{name}.log")
            process.ready(ports.grpc)
            process.ready(ports.http)
        config = folder / "front.yaml"
        config.write_text(json.dumps(front(entrances, targets)))
        process = start(command("go", config), "front.log")
        for port in entrances.values():
            process.ready(port)
        for (signal, variant), message in sent.items():
            post(entrances[variant], signal, message)

        def arrived() -> bool:
            taken = [recorded(path) for path in records.values()]
            return all(sum(map(Counter.total, got.values())) >= wanted for got in taken)

        try:
            harness.wait_until(arrived, 30, "everything at every sink")
        except TimeoutError:
            # The tests name what is missing; this shows what the collectors said about it.
            for process in processes:
                print(process.log.name, process.log.read_text()[-4000:], sep="\n")
        got = {name: recorded(path) for name, path in records.items()}
        for process in reversed(processes):
            process.stop()
        got |= {f"{name}-file": written(folder / f"{name}.jsonl") for name in names}
        got["sent"] = {}
        for (signal, variant), message in sent.items():
            got["sent"][signal, variant] = Counter(item for _, item in items(message))
        yield got
    finally:
        for process in reversed(processes):
            process.stop()


@pytest.mark.peers("otelcol")
@pytest.mark.parametrize("out", ["grpc", "http", "file"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_both_collectors_pass_on_the_same(
    outcome: dict[str, Recorded], signal: str, variant: str, out: str
) -> None:
    theirs = outcome[f"go-{out}"][signal, variant]
    ours = outcome[f"heliograph-{out}"].get((signal, variant), Counter())
    assert theirs.total() == outcome["sent"][signal, variant].total()
    assert ours == theirs
