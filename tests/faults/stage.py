"""A collector between a herd of senders and sinks that know every span by its number.

What the herd was told is accepted has to be at every sink in the end; `Stage.row` says whether.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import harness
from modes import STATE, Ends, Mode, command, configuration
from processes import activated

MIB = 2**20
RATE = 20_000
"""Spans a second of the usual load."""
SPANS = 100
"""Spans a request."""
LIMIT = 256
"""MiB that the memory limiter is given."""
SLACK = 150 / 128
"""What may be resident, as a share of the memory limit."""


def quiet_port() -> int:
    """A free port that no outgoing connection will be given while its server is away."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def listening(port: int) -> socket.socket:
    """A socket as a supervisor holds it for a collector."""
    bound = socket.create_server(("127.0.0.1", port), backlog=1024)
    bound.setblocking(False)
    return bound


@dataclass(frozen=True)
class Row:
    """What a fault came to."""

    fault: str
    mode: Mode
    load: str
    accepted: int
    delivered: int
    """Of the accepted, those that arrived at every sink."""
    duplicates: int
    unanswered: int
    """Requests whose fate their sender did not learn; each may make duplicates."""
    refused: int
    """Requests that were told to come again."""
    peak: int
    """Largest resident size of the collector, in bytes."""
    bound: int
    """What it may be."""
    unfinished: int
    """Spans that were never accepted, because the herd's patience was over."""
    destroyed: int = 0
    """Spans that the fault itself took from the disk."""
    note: str = ""

    @property
    def lost(self) -> int:
        return self.accepted - self.delivered

    def cells(self) -> list[str]:
        return [
            self.fault,
            self.mode.collector,
            self.mode.name,
            self.load,
            f"{self.accepted:,}",
            f"{self.delivered:,}",
            f"{self.lost:,}",
            f"{self.duplicates:,}",
            f"{self.refused:,}",
            f"{self.unanswered:,}",
            f"{self.peak / MIB:.0f}",
            "; ".join(filter(None, (self.note, self._left()))),
        ]

    def _left(self) -> str:
        return f"{self.unfinished:,} never accepted" if self.unfinished else ""


HEADINGS = (
    *("fault", "collector", "mode", "load", "accepted", "delivered", "lost", "duplicates"),
    *("refused", "unanswered", "peak MiB", "note"),
)


class Impossible(Exception):
    """This machine has not what a fault needs; the text says what."""


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


class Stage:
    """Everything that runs during one fault; stopped at the end of the block."""

    def __init__(
        self,
        mode: Mode,
        folder: Path,
        *,
        sinks: int = 1,
        supervised: bool = False,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.mode = mode
        self.folder = folder
        self.sinks: list[harness.Sink] = []
        self.peak = 0
        self.destroyed = 0
        self.state = folder / STATE
        self._supervised = supervised
        self._listening: list[socket.socket] = []
        self._environment = {**(environment or {}), "HELIOGRAPH_STATE_DIR": str(self.state)}
        self._options = {"limit_mib": LIMIT, **options}
        self._herds: list[tuple[str, harness.Herd]] = []
        self._processes: list[harness.Process] = []
        self._starts = 0
        self._count = sinks

    def __enter__(self) -> Stage:
        try:
            for number in range(self._count):
                self.sinks.append(self._sink(number))
            ports = [sink.grpc for sink in self.sinks]
            self.ends = Ends(quiet_port(), quiet_port(), ports)
            self.config = self.folder / "collector.yaml"
            self.write()
            if self._supervised:
                self._listening = [listening(port) for port in (self.ends.grpc, self.ends.http)]
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            if not process.ended():
                process.child.kill()
            process.child.wait()
        for bound in self._listening:
            bound.close()

    def _sink(self, number: int) -> harness.Sink:
        ends = [f"--grpc=127.0.0.1:{quiet_port()}".split("="), ["--check", "yes"]]
        words = [word for end in ends for word in end]
        log = self.folder / f"sink{number}.log"
        process = harness.Process([harness.NATIVE / "sink", *words], log)
        self._processes.append(process)
        return harness.Sink(process)

    # The collector.

    def write(self, **options: Any) -> None:
        """Write the configuration, with other options than at first."""
        made = configuration(self.mode, self.ends, self.folder, **(self._options | options))
        self.config.write_text(made)

    def start(self) -> None:
        """Start the collector and return when it listens."""
        self.spawn()
        self.ready()

    def spawn(self) -> None:
        """Start the collector and do not wait for it."""
        self._starts += 1
        self.state.mkdir(exist_ok=True)
        log = self.folder / f"collector{self._starts}.log"
        words = command(self.mode, self.config)
        if self._listening:
            words = [*activated([str(word) for word in words], self._listening)]
        fds = [bound.fileno() for bound in self._listening]
        self.collector = harness.Process(words, log, fds=fds, **self._environment)
        self._processes.append(self.collector)

    def ready(self) -> None:
        """Return when the collector listens."""
        if self._listening:  # the supervisor's sockets answer by themselves
            self.until(lambda: self.says("ready"), 30, "the collector's start")
            return
        for port in (self.ends.grpc, self.ends.http):
            self.collector.ready(port)

    def says(self, text: str) -> int:
        """How many lines of the collector's log, since its last start, have a text."""
        return sum(text in line for line in self.collector.log.read_text().splitlines())

    def look(self) -> None:
        """Note the collector's memory, and that it lives."""
        self.collector.alive()
        self.peak = max(self.peak, self.collector.peak())

    def kill(self) -> None:
        """End the collector with SIGKILL."""
        self.peak = max(self.peak, self.collector.peak())
        self.collector.child.kill()
        self.collector.child.wait()

    def terminate(self) -> int:
        """End the collector with SIGTERM; return its status."""
        self.look()
        return self.collector.stop(20)

    # The load.

    def load(
        self, *options: str | float, rate: float | None = RATE, sender: int = 1
    ) -> harness.Herd:
        """Begin to send so many spans a second, or as many as are taken."""
        protocol = "http" if "http" in options else "grpc"
        port = self.ends.http if protocol == "http" else self.ends.grpc
        words: list[str | float] = ["--target", f"127.0.0.1:{port}", "--sender", sender]
        words += ["--rate", rate] if rate else []
        words += [*options] if "--spans" in options else ["--spans", SPANS, *options]
        words += ["--backoff", 0.2]
        herd = harness.Herd(self.folder / f"herd{sender}.log", *words)
        self._processes.append(herd.process)
        self._herds.append((f"{rate / 1e3:g} k spans/s" if rate else "all it takes", herd))
        return herd

    def hold(self, seconds: float) -> None:
        """Let things be for a while; the collector has to live through it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.look()
            time.sleep(min(0.1, left))

    def until(self, met: Callable[[], bool], seconds: float, what: str) -> None:
        """Return when a condition holds; the collector has to live until then."""

        def seen() -> bool:
            self.look()
            return met()

        harness.wait_until(seen, seconds, what)

    @property
    def herds(self) -> list[harness.Herd]:
        """All that send."""
        return [herd for _, herd in self._herds]

    def accepted(self) -> int:
        """Spans that the herds were told are accepted."""
        return sum(herd.latest().get("accepted", 0) for _, herd in self._herds)

    def flowing(self, more: int = RATE // 2, seconds: float = 90) -> None:
        """Return when each herd has had so many more spans accepted."""
        for _, herd in self._herds:
            before = herd.latest().get("accepted", 0)
            met = lambda herd=herd, before=before: (  # noqa: E731
                herd.latest().get("accepted", 0) >= before + more
            )
            self.until(met, seconds, "accepted spans")

    # The reckoning.

    def row(self, fault: str, *, patience: float = 60, note: str = "") -> Row:
        """Let the herds finish, wait for what was accepted to arrive, and count.

        Args:
            patience: seconds without anything new at a sink after which no more is waited for.
        """
        reports = [herd.finish(60) for herd in self.herds]
        accepted = {
            number: [(first, end) for first, end in report["runs"]]
            for number, report in enumerate(reports, 1)
        }
        most, changed = -1, time.monotonic()

        def arrived() -> bool:
            nonlocal most, changed
            seen = [sink.seen() for sink in self.sinks]
            gone = max(
                sum(
                    harness.count(harness.missing(runs, one.runs.get(number, [])))
                    for number, runs in accepted.items()
                )
                for one in seen
            )
            there = sum(harness.count(runs) for one in seen for runs in one.runs.values())
            if there > most:
                most, changed = there, time.monotonic()
            return gone <= self.destroyed or time.monotonic() > changed + patience

        self.until(arrived, 3600, "the arrival of what was accepted")
        return self._reckon(fault, reports, accepted, note)

    def _reckon(
        self,
        fault: str,
        reports: list[dict[str, Any]],
        accepted: dict[int, harness.Runs],
        note: str,
    ) -> Row:
        everywhere = dict(accepted)
        duplicates = strangers = 0
        for sink in self.sinks:
            seen = sink.seen()
            duplicates += seen.duplicates
            strangers += seen.strangers
            for number, runs in everywhere.items():
                gone = harness.missing(runs, seen.runs.get(number, []))
                everywhere[number] = harness.missing(runs, gone)
        assert not strangers, f"{strangers} spans that nobody has sent"
        if not self.collector.ended():
            self.look()
        return Row(
            fault=fault,
            mode=self.mode,
            load=" + ".join(load for load, _ in self._herds),
            accepted=sum(map(harness.count, accepted.values())),
            delivered=sum(map(harness.count, everywhere.values())),
            duplicates=duplicates,
            unanswered=sum(report["unanswered"] for report in reports)
            + sum(sink.stats()["unanswered"] for sink in self.sinks),
            refused=sum(report["refused"] for report in reports),
            peak=self.peak,
            bound=int(self._options["limit_mib"] * SLACK * MIB),
            unfinished=sum(report["pending"] for report in reports),
            destroyed=self.destroyed,
            note=note,
        )
