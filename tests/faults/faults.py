"""The faults. Each happens to a collector under load; `run` says what came of it."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import abuse
import crashes
import disks
from modes import DELIVERED, FIRST, GO_FILE, GO_MEMORY, GO_PLAIN, MEMORY, OURS, SPILL, Mode
from stage import LIMIT, MIB, RATE, SPANS, Row, Scale, Stage

HASTE = {"timeout": "1s", "retry_on_failure": {"initial_interval": "200ms"}}
SHORT = Scale(outage=1.5, times=3, crowd=1000, bomb=128 * abuse.MIB, delivery=HASTE)
LONG = Scale(outage=60, times=100, crowd=1000, bomb=1024 * abuse.MIB)


FORGOTTEN = 3.0
"""Seconds without anything new after which what was only in memory will not come."""
CROWD = 10_000
"""Spans in flight on each connection where the load is all that is taken."""


def no_environment(folder: Path) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Fault:
    """``act`` does it to a collector that takes the usual load, and returns a note."""

    name: str
    act: Callable[[Stage, Scale], str | None]
    modes: Sequence[Mode]
    quick: Sequence[Mode] | None = None
    """Modes that the default test run looks at; the first of ours when None."""
    sinks: int = 1
    repeats: bool = False
    """Whether somebody may have to send again what was taken."""
    kills: bool = False
    """Whether the collector ends without a chance to do something about it."""
    rate: float | None = RATE
    """Spans a second of the load; as many as are taken when None."""
    spans: int = SPANS
    """Spans a request."""
    limit: int = LIMIT
    """MiB that the memory limiter is given."""
    timeout: str | None = None
    """Of each attempt, where no other will do."""
    supervised: bool = False
    """Whether a supervisor holds the listening sockets."""
    disk: Callable[[Path], AbstractContextManager[None]] = nullcontext
    """What is put below the folder of a run, for what the collector keeps."""
    environment: Callable[[Path], Mapping[str, str]] = no_environment

    def wrong(self, row: Row) -> str:
        """What is wrong with a row of ours; empty when nothing is."""
        if not row.accepted:
            return "nothing was accepted"
        if row.lost > row.destroyed and not (self.kills and row.mode.forgets):
            return f"{row.lost:,} accepted spans were lost, {row.destroyed:,} destroyed"
        if row.duplicates and not (self.repeats or row.unanswered):
            return f"{row.duplicates:,} duplicates"
        if row.peak > row.bound:
            return f"{row.peak / MIB:.0f} MiB, not {row.bound / MIB:.0f}"
        return ""


def run(fault: Fault, mode: Mode, scale: Scale, folder: Path, patience: float = 60) -> Row:
    """Let a fault happen once, in a folder for everything that is written.

    Raises: Impossible where this machine has not what it takes.
    """
    delivery = dict(scale.delivery or {})
    if fault.timeout:
        delivery["timeout"] = fault.timeout
    with (
        fault.disk(folder),
        Stage(
            mode,
            folder,
            sinks=fault.sinks,
            supervised=fault.supervised,
            environment=fault.environment(folder),
            delivery=delivery,
            limit_mib=fault.limit,
        ) as stage,
    ):
        inflight = () if fault.rate else ("--inflight", CROWD // fault.spans)
        stage.load("--spans", fault.spans, *inflight, rate=fault.rate)
        stage.flowing()
        try:
            note = fault.act(stage, scale)
        except TimeoutError as error:
            if mode.collector == OURS:
                raise
            note = str(error)
        if fault.kills and mode.forgets:
            patience = FORGOTTEN
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


def one_of_three(stage: Stage, scale: Scale) -> str:
    """One backend of three is away, then back; the others must not notice."""
    stage.sinks[1].mood("down")
    before, began = stage.accepted(), time.monotonic()
    stage.hold(scale.outage)
    rate = (stage.accepted() - before) / (time.monotonic() - began)
    stage.sinks[1].mood("ok")
    stage.flowing()
    twice = sum(stage.sinks[number].seen().duplicates for number in (0, 2))
    if stage.mode.collector == OURS and stage.mode.durable:
        assert not twice, f"{twice} duplicates at healthy backends"
        assert rate > 0.8 * RATE, f"{rate:.0f} spans/s while one is away"
    return f"{rate / 1e3:.1f} k spans/s meanwhile, {twice:,} duplicates at the healthy ones"


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


def said(told: abuse.Told) -> str:
    return ", ".join(f"{what}: {count}" for what, count in sorted(told.items()))


BARE = (DELIVERED, GO_PLAIN)
"""For what never gets past the door."""
KEEPING = (DELIVERED, SPILL, FIRST, GO_PLAIN, GO_MEMORY, GO_FILE)
EVERY = (DELIVERED, SPILL, FIRST, MEMORY, GO_PLAIN, GO_MEMORY, GO_FILE)
DISK = (SPILL, FIRST, GO_FILE)

FAULTS = (
    Fault("backend away", outage, EVERY, quick=(SPILL, FIRST), repeats=True),
    Fault("backend slow (500 ms)", slow, KEEPING, quick=(SPILL,), timeout="10s"),
    Fault("backend stalled", stalled, KEEPING, quick=(SPILL,), repeats=True),
    Fault("stalled at full load", stalled, BARE, rate=None, spans=512, limit=128),
    Fault("the same in small requests", stalled, BARE, rate=None, spans=10, limit=128),
    Fault("answers lost", mute, KEEPING, quick=(FIRST,), repeats=True),
    Fault("backend says 'in 1 s'", busy, KEEPING),
    Fault("one backend of three away", one_of_three, KEEPING, (SPILL,), sinks=3, repeats=True),
    Fault("backend half-open", half_open_backend, KEEPING, quick=(SPILL,), repeats=True),
    Fault("backend resets", reset_backend, KEEPING, repeats=True),
    Fault("compression bombs", bombs, BARE),
    Fault("malformed requests", malformed, BARE),
    Fault("oversized requests", oversized, BARE),
    Fault("HTTP/2 floods", flooded, BARE),
    Fault("idle connections", idle, BARE),
    Fault("slow senders", slow_senders, BARE),
    Fault("half-open and reset senders", half_open_senders, BARE),
    Fault("stopped senders", stopped_senders, BARE),
    Fault("SIGTERM", crashes.terminated, EVERY, quick=(SPILL,), repeats=True),
    Fault("kill -9", crashes.killed, EVERY, (SPILL,), repeats=True, kills=True),
    Fault("reload", crashes.reloaded, EVERY, quick=(SPILL,), repeats=True),
    Fault(
        "restart under socket activation",
        crashes.restarted,
        (DELIVERED, SPILL, FIRST),
        quick=(SPILL,),
        supervised=True,
    ),
    Fault("disk full", disks.disk_full, DISK, quick=(SPILL,), disk=disks.small, repeats=True),
    Fault(
        "read-only disk", disks.read_only, (SPILL, FIRST), (SPILL,), disk=disks.large, repeats=True
    ),
    Fault("flipped bits on disk", disks.flipped, DISK, quick=(FIRST,), repeats=True, kills=True),
    Fault("truncated files", disks.truncated, DISK, quick=(FIRST,), repeats=True, kills=True),
    Fault(
        "clock jumps",
        crashes.clock_jumps,
        (DELIVERED, SPILL, FIRST),
        quick=(SPILL,),
        environment=crashes.clock,
        repeats=True,
    ),
)
