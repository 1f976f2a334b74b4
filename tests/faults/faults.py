"""The faults. Each happens to a collector under load; `run` says what came of it."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import abuse
from modes import DELIVERED, FIRST, GO_FILE, GO_MEMORY, GO_PLAIN, SPILL, Mode
from stage import LIMIT, RATE, SPANS, Row, Stage


@dataclass(frozen=True)
class Scale:
    """How long and how often."""

    outage: float
    """Seconds that a fault lasts."""
    times: int
    """How often a fault that lasts no time happens."""
    crowd: int
    """Connections of the many."""
    bomb: int
    """Bytes that a compression bomb makes."""
    delivery: Mapping[str, Any] | None = None
    """Options of the exporters that are not as they come."""


HASTE = {"timeout": "1s", "retry_on_failure": {"initial_interval": "200ms"}}
SHORT = Scale(outage=1.5, times=3, crowd=1000, bomb=128 * abuse.MIB, delivery=HASTE)
LONG = Scale(outage=60, times=100, crowd=1000, bomb=1024 * abuse.MIB)


CROWD = 10_000
"""Spans in flight on each connection where the load is all that is taken."""


@dataclass(frozen=True)
class Fault:
    """``act`` does it to a collector that takes the usual load, and returns a note."""

    name: str
    act: Callable[[Stage, Scale], str | None]
    modes: Sequence[Mode]
    sinks: int = 1
    repeats: bool = False
    """Whether somebody may have to send again what was taken."""
    rate: float | None = RATE
    """Spans a second of the load; as many as are taken when None."""
    spans: int = SPANS
    """Spans a request."""
    limit: int = LIMIT
    """MiB that the memory limiter is given."""


def run(fault: Fault, mode: Mode, scale: Scale, folder: Path, patience: float = 60) -> Row:
    """Let a fault happen once, in a folder for everything that is written."""
    options = {"delivery": scale.delivery, "limit_mib": fault.limit}
    with Stage(mode, folder, sinks=fault.sinks, **options) as stage:
        inflight = () if fault.rate else ("--inflight", CROWD // fault.spans)
        stage.load("--spans", fault.spans, *inflight, rate=fault.rate)
        stage.flowing()
        note = fault.act(stage, scale)
        return stage.row(fault.name, note=note or "", patience=patience)


# The exporter's side.


def outage(stage: Stage, scale: Scale) -> None:
    """The backend is away, then back."""
    stage.sinks[0].mood("down")
    stage.hold(scale.outage)
    stage.sinks[0].mood("ok")
    stage.flowing()


def slow(stage: Stage, scale: Scale) -> None:
    """The backend takes its time for every request."""
    stage.sinks[0].mood("slow 500")
    stage.hold(scale.outage)
    stage.sinks[0].mood("ok")
    stage.flowing()


def stalled(stage: Stage, scale: Scale) -> None:
    """The backend reads, and never answers."""
    stage.sinks[0].mood("stall")
    stage.hold(scale.outage)
    stage.sinks[0].mood("ok")
    stage.flowing()


def mute(stage: Stage, scale: Scale) -> None:
    """The backend takes what comes but its answers are lost: whoever sends again makes
    duplicates."""
    stage.sinks[0].mood("mute")
    stage.hold(scale.outage / 4)
    stage.sinks[0].mood("ok")
    stage.flowing()


def busy(stage: Stage, scale: Scale) -> None:
    """The backend sends everybody away for a second."""
    stage.sinks[0].mood("retry_after 1")
    stage.hold(scale.outage)
    stage.sinks[0].mood("ok")
    stage.flowing()


def one_of_three(stage: Stage, scale: Scale) -> None:
    """One backend of three is away, then back."""
    stage.sinks[1].mood("down")
    stage.hold(scale.outage)
    stage.sinks[1].mood("ok")
    stage.flowing()


def half_open_backend(stage: Stage, scale: Scale) -> None:
    """The backend's machine hangs: connections stay, nobody answers."""
    backend = stage.sinks[0].process.child
    backend.send_signal(signal.SIGSTOP)
    try:
        stage.hold(scale.outage)
    finally:
        backend.send_signal(signal.SIGCONT)
    stage.flowing()


def reset_backend(stage: Stage, scale: Scale) -> str:
    """The backend's connections are reset, again and again."""
    for _ in range(scale.times):
        stage.sinks[0].mood("reset")
        stage.sinks[0].mood("ok")
        stage.flowing(RATE // 10)
    return f"{scale.times} times"


# The senders' side.


def bombs(stage: Stage, scale: Scale) -> str:
    """Compression bombs in every codec."""
    told = abuse.bomb(stage.ends.grpc, stage.ends.http, scale.bomb, max(scale.times // 10, 2))
    stage.flowing()
    return said(told)


def malformed(stage: Stage, scale: Scale) -> str:
    """Requests that are none."""
    told = abuse.malform(stage.ends.grpc, stage.ends.http, max(scale.times // 10, 1))
    stage.flowing()
    return said(told)


def oversized(stage: Stage, scale: Scale) -> str:
    """Requests larger than the limits, sent or promised."""
    told = abuse.oversize(stage.ends.grpc, stage.ends.http, scale.times)
    stage.flowing()
    return said(told)


def flooded(stage: Stage, scale: Scale) -> str:
    """Floods of HTTP/2 frames."""
    told = abuse.flood(stage.ends.grpc, scale.outage)
    stage.flowing()
    return said(told)


def idle(stage: Stage, scale: Scale) -> str:
    """Connections on which nothing is said."""
    abuse.idle(stage.ends.grpc, stage.ends.http, scale.crowd, lambda: stage.hold(scale.outage))
    stage.flowing()
    return f"{scale.crowd} connections"


def slow_senders(stage: Stage, scale: Scale) -> str:
    """Requests that come byte by byte."""
    gone = abuse.dribble(
        stage.ends.grpc, stage.ends.http, scale.crowd, lambda: stage.hold(scale.outage)
    )
    stage.flowing()
    return f"{scale.crowd} connections, {gone} cut off"


def half_open_senders(stage: Stage, scale: Scale) -> str:
    """Senders that go silent in the middle of a request; half of them never end, half reset."""
    peers: list[socket.socket] = []
    try:
        for _ in range(scale.times):
            peers += abuse.half(stage.ends.grpc, stage.ends.http, 10)
            for _ in range(5):
                abuse.reset(peers.pop())
            stage.flowing(RATE // 10)
    finally:
        for peer in peers:
            peer.close()
    return f"{10 * scale.times} requests begun"


def stopped_senders(stage: Stage, scale: Scale) -> None:
    """The senders hang with requests and answers under way, then go on."""
    herd = stage.load(rate=RATE, sender=2).process.child
    stage.flowing()
    herd.send_signal(signal.SIGSTOP)
    try:
        stage.hold(scale.outage)
    finally:
        herd.send_signal(signal.SIGCONT)
    stage.flowing()


# The collector itself.


def terminated(stage: Stage, scale: Scale) -> str:
    """SIGTERM under load; started again at once."""
    slowest = 0.0
    times = max(scale.times // 4, 2)
    for _ in range(times):
        stage.flowing(RATE // 4)
        began = time.monotonic()
        status = stage.terminate()
        slowest = max(slowest, time.monotonic() - began)
        assert status == 0, stage.collector.log.read_text()[-2000:]
        stage.start()
    stage.flowing()
    return f"{times} times, the longest took {slowest:.1f} s"


def said(told: abuse.Told) -> str:
    return ", ".join(f"{what}: {count}" for what, count in sorted(told.items()))


BARE = (DELIVERED, GO_PLAIN)
"""For what never gets past the door."""
EVERY = (DELIVERED, SPILL, FIRST, GO_PLAIN, GO_MEMORY, GO_FILE)

FAULTS = (
    Fault("backend away", outage, EVERY, repeats=True),
    Fault("backend slow (500 ms)", slow, EVERY),
    Fault("backend stalled", stalled, EVERY),
    Fault("stalled at full load", stalled, BARE, rate=None, spans=512, limit=128),
    Fault("the same in small requests", stalled, BARE, rate=None, spans=10, limit=128),
    Fault("answers lost", mute, EVERY, repeats=True),
    Fault("backend says 'in 1 s'", busy, EVERY),
    Fault("one backend of three away", one_of_three, EVERY, sinks=3, repeats=True),
    Fault("backend half-open", half_open_backend, EVERY),
    Fault("backend resets", reset_backend, EVERY, repeats=True),
    Fault("compression bombs", bombs, BARE),
    Fault("malformed requests", malformed, BARE),
    Fault("oversized requests", oversized, BARE),
    Fault("HTTP/2 floods", flooded, BARE),
    Fault("idle connections", idle, BARE),
    Fault("slow senders", slow_senders, BARE),
    Fault("half-open and reset senders", half_open_senders, BARE),
    Fault("stopped senders", stopped_senders, BARE),
    Fault("SIGTERM", terminated, EVERY, repeats=True),
)
