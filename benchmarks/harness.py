"""Processes under measurement: start them, read what they cost, stop them.

The native programs of ``benchmarks/native`` print their ports as one line of JSON when they are
ready; a collector is ready when its port answers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NATIVE = ROOT / "target" / "release"
TICKS = os.sysconf("SC_CLK_TCK")

sys.path.insert(0, str(ROOT / "tests" / "interop" / "peers"))


def build_native() -> None:
    """Build the load generator, the sink and the relay; takes no time when nothing changed."""
    command = ["cargo", "build", "--release", "--quiet", "-p", "heliograph-bench"]
    subprocess.run(command, cwd=ROOT, check=True)


def free_port() -> int:
    """A TCP port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(met: Callable[[], bool], seconds: float, what: str) -> None:
    """Return when a condition holds.

    Raises: TimeoutError naming `what` when it does not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def answers(port: int) -> bool:
    """Whether something listens on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A child whose cost is read from /proc; its output goes to a file."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        fds: Sequence[int] = (),
        **environment: str,
    ) -> None:
        self.log = log
        with log.open("wb") as out:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
                pass_fds=fds,
            )
        self.pid = self.child.pid

    def cpu(self) -> float:
        """CPU-seconds so far, all threads, user and system."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / TICKS

    def peak(self) -> int:
        """Largest resident size so far, in bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"process {self.pid} has ended")

    def first_line(self) -> dict[str, Any]:
        """What a native program says when it is ready."""
        wait_until(lambda: b"\n" in self.log.read_bytes() or self.ended(), 10, str(self.log))
        self.alive()
        return dict(json.loads(self.log.read_text().splitlines()[0]))

    def ready(self, port: int, seconds: float = 30) -> None:
        """Return when the process listens."""
        wait_until(lambda: answers(port) or self.ended(), seconds, f"port {port} of {self.log}")
        self.alive()

    def ended(self) -> bool:
        return self.child.poll() is not None

    def alive(self) -> None:
        if self.ended():
            raise RuntimeError(
                f"ended with {self.child.returncode}:\n{self.log.read_text()[-2000:]}"
            )

    def stop(self, seconds: float = 15) -> int:
        """Ask the process to end, insist after so many seconds, return its status."""
        if not self.ended():
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


@contextmanager
def running(command: Sequence[str | Path], log: Path, **environment: str) -> Iterator[Process]:
    """A process for the length of a block."""
    process = Process(command, log, **environment)
    try:
        yield process
    finally:
        process.stop()


Runs = list[tuple[int, int]]
"""Serials of one sender in order: pairs of the first and the one after the last."""


def count(runs: Runs) -> int:
    return sum(end - first for first, end in runs)


def missing(wanted: Runs, found: Runs) -> Runs:
    """What of the wanted is not among the found; both in order."""
    out: Runs = []
    rest = iter(found)
    have = next(rest, None)
    for first, end in wanted:
        at = first
        while at < end:
            if have is None or have[0] >= end:
                out.append((at, end))
                break
            if have[1] <= at:
                have = next(rest, None)
                continue
            if have[0] > at:
                out.append((at, have[0]))
            at = have[1]
    return out


@dataclass(frozen=True)
class Seen:
    """The herd's spans that a sink has taken."""

    runs: dict[int, Runs]
    """By sender."""
    duplicates: int
    strangers: int
    """Spans that no herd has made."""


class Sink:
    """The counting sink: its ports and what it has taken."""

    def __init__(self, process: Process) -> None:
        ports = process.first_line()
        self.process = process
        self.grpc: int = ports["grpc"]
        self.http: int = ports["http"]
        self.control: int = ports["control"]

    def stats(self) -> dict[str, int]:
        return dict(self._ask("/stats"))

    def mood(self, text: str) -> None:
        """Behave otherwise from now on: ``ok``, ``stall``, ``slow 500``, ``down``, …"""
        self._ask("/mood", text.encode())

    def counts(self) -> dict[int, int]:
        """Spans seen, by sender."""
        senders = self._ask("/counts")["senders"]
        return {int(number): sender["count"] for number, sender in senders.items()}

    def seen(self) -> Seen:
        told = self._ask("/seen")
        senders = {int(number): sender for number, sender in told["senders"].items()}
        runs = {
            number: [(first, end) for first, end in sender["runs"]]
            for number, sender in senders.items()
        }
        return Seen(runs, sum(one["duplicates"] for one in senders.values()), told["strangers"])

    def _ask(self, path: str, data: bytes | None = None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.control}{path}"
        with urllib.request.urlopen(url, data, timeout=60) as answer:
            return dict(json.load(answer))


@contextmanager
def sink(log: Path, *options: str | Path) -> Iterator[Sink]:
    """The counting sink for the length of a block."""
    with running([NATIVE / "sink", *options], log) as process:
        yield Sink(process)


def load(*options: str | float, timeout: float = 300) -> dict[str, Any]:
    """Run the load generator to its end and return its report."""
    command = [str(NATIVE / "load"), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout)
    return dict(json.loads(done.stdout))


class Herd:
    """Senders that send again what is refused; every span has a number (see herd.rs)."""

    def __init__(self, log: Path, *options: str | float) -> None:
        self.process = Process([NATIVE / "herd", *map(str, options)], log)

    def latest(self) -> dict[str, Any]:
        """The counts as they were a fifth of a second ago; empty before the first."""
        lines = self.process.log.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        return dict(json.loads(whole[-1])) if whole else {}

    def finish(self, patience: float = 60) -> dict[str, Any]:
        """Let it make no more, and return its report when all is taken or patience is over."""
        if not self.process.ended():
            self.process.child.send_signal(signal.SIGTERM)
        wait_until(self.process.ended, patience + 60, "the herd's end")
        report = self.latest()
        if not report.get("done"):
            raise RuntimeError(f"the herd failed:\n{self.process.log.read_text()[-2000:]}")
        return report


def within_hosts(command: Sequence[str | Path], hosts: Path) -> list[str | Path]:
    """A command as it has to be started to see other hosts than this machine's."""
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, hosts, *command]
