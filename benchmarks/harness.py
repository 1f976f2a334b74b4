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

    def __init__(self, command: Sequence[str | Path], log: Path, **environment: str) -> None:
        self.log = log
        with log.open("wb") as out:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
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


class Sink:
    """The counting sink: its ports and what it has taken."""

    def __init__(self, process: Process) -> None:
        ports = process.first_line()
        self.process = process
        self.grpc: int = ports["grpc"]
        self.http: int = ports["http"]

    def stats(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/stats", timeout=10) as answer:
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


def within_hosts(command: Sequence[str | Path], hosts: Path) -> list[str | Path]:
    """A command as it has to be started to see other hosts than this machine's."""
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, hosts, *command]
