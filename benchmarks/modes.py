"""Delivery modes: what an acknowledgement means, as a configuration of ours or of Go's collector.

Both run the same YAML but for the options that only one of them has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
from install import find

OURS, GO = "heliograph", "go"
STATE = "state"
"""Name of the folder, below the one of a run, for what outlives a collector."""


@dataclass(frozen=True)
class Mode:
    """What stands behind "accepted"."""

    name: str
    collector: str = OURS
    durable: bool = False
    """Whether what is accepted survives the exporter's failure and a stop of the process."""
    forgets: bool = False
    """Whether what is accepted may be lost with a process that is killed."""
    exporter: Mapping[str, Any] = field(default_factory=dict)
    queue: Mapping[str, Any] = field(default_factory=dict)
    """``sending_queue`` of each exporter."""
    journal: Mapping[str, Any] = field(default_factory=dict)
    """``service.journal`` of ours."""
    storage: Mapping[str, Any] | None = None
    """``file_storage`` of the Go collector."""

    def __str__(self) -> str:
        return f"{self.collector}: {self.name}"


DELIVERED = Mode("delivered", journal={"enabled": False})
"""The sender waits until the exporter has delivered."""
SPILL = Mode("spill", durable=True)
"""As it comes: what is not delivered within a second, or fails, waits in the journal."""
FIRST = Mode("journal first", durable=True, queue={"spill_after": "0s"})
"""The journal has it before the sender is answered."""
MEMORY = Mode(
    "memory",
    forgets=True,
    queue={"acknowledge": "memory", "sizer": "bytes", "queue_size": 64 << 20},
)
"""The sender is answered from memory; a crash loses what waits."""
GO_PLAIN = Mode("no queue", GO, exporter={"sending_queue": {"enabled": False}})
GO_MEMORY = Mode("memory queue", GO, forgets=True)
GO_FILE = Mode("file_storage", GO, durable=True, storage={"fsync": False})
GO_FSYNC = Mode("file_storage, fsync", GO, durable=True, storage={"fsync": True})


@dataclass(frozen=True)
class Ends:
    """Where a collector listens and sends."""

    grpc: int
    http: int
    sinks: Sequence[int]
    """Ports; each is an exporter of its own, over gRPC."""


def configuration(
    mode: Mode,
    ends: Ends,
    folder: Path,
    *,
    limit_mib: int = 256,
    cap_mib: int = 1024,
    delivery: Mapping[str, Any] | None = None,
) -> str:
    """A configuration (JSON is YAML): OTLP in both ways, a memory limiter, an exporter a sink.

    Args:
        folder: of the run; what is kept on disk goes to `STATE` below it.
        limit_mib: of the memory limiter.
        cap_mib: of what is kept on disk.
        delivery: options of each exporter beside the mode's; it never gives up anyway.
    """
    extensions: dict[str, Any] = {}
    exporter: dict[str, Any] = {
        "tls": {"insecure": True},
        "compression": "none",
        "retry_on_failure": {"max_elapsed_time": "0s"},
        **mode.exporter,
        **(delivery or {}),
    }
    if mode.storage is not None:
        directory = folder / STATE / "file_storage"
        extensions["file_storage"] = {"directory": str(directory), "create_directory": True}
        extensions["file_storage"] |= mode.storage
        queue = {"storage": "file_storage", "sizer": "bytes", "queue_size": cap_mib * 2**20}
        exporter["sending_queue"] = queue
    if mode.queue:
        exporter["sending_queue"] = dict(mode.queue)
    names = [f"otlp/{number}" for number, _ in enumerate(ends.sinks)]
    service: dict[str, Any] = {
        "extensions": list(extensions),
        "telemetry": {"metrics": {"level": "none"}},
        "pipelines": {
            "traces": {"receivers": ["otlp"], "processors": ["memory_limiter"], "exporters": names}
        },
    }
    if mode.collector == OURS:
        service["journal"] = {"max_size_mib": cap_mib, **mode.journal}
        # Whoever waits for a line of the log must not miss it among others like it.
        service["telemetry"]["logs"] = {"sampling": {"enabled": False}}
    document = {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{ends.grpc}"},
                    "http": {"endpoint": f"127.0.0.1:{ends.http}"},
                }
            }
        },
        "processors": {"memory_limiter": {"check_interval": "100ms", "limit_mib": limit_mib}},
        "exporters": {
            name: {"endpoint": f"127.0.0.1:{port}", **exporter}
            for name, port in zip(names, ends.sinks, strict=True)
        },
        "extensions": extensions,
        "service": service,
    }
    return json.dumps(document, indent=2)


def command(mode: Mode, config: Path) -> list[str | Path]:
    """How the mode's collector is started.

    Raises: LookupError when it is not installed.
    """
    if mode.collector == OURS:
        program = harness.ROOT / ".venv" / "bin" / "heliograph"
        return [program, "collector", "--config", config]
    peer = find("otelcol")
    if peer is None:
        raise LookupError("`python tests/interop/peers/install.py otelcol` installs the peer")
    return [peer / "otelcol", "--config", config]
