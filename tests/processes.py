"""The collector as a real process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

NO_PAGE = "service.telemetry.metrics.address=''"
ACTIVATE = """
import fcntl, os, sys
fds, names, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
copies = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in fds]
for number, copy in enumerate(copies, 3):
    os.dup2(copy, number)
    os.close(copy)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(sys.executable, [sys.executable, *command])
"""
PROGRAM = "import sys; from heliograph.cli import main; sys.exit(main())"


def activated(
    arguments: Sequence[str], sockets: Sequence[socket.socket], names: str = ""
) -> list[str]:
    """Return how Python is started with sockets from descriptor 3 on, as systemd does it."""
    fds = ",".join(str(given.fileno()) for given in sockets)
    return [sys.executable, "-c", ACTIVATE, fds, names, *arguments]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``heliograph`` to its end."""
    line = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


class Collector:
    """Runs from entering to leaving; what it writes is collected meanwhile.

    Tests run side by side, so there is no page of own metrics on its usual port, unless ``page``.
    """

    def __init__(
        self, config: Path, *more: str, env: Mapping[str, str] | None = None, page: bool = False
    ) -> None:
        self._command = [sys.executable, "-W", "error", "-c", PROGRAM]
        self._command += ["collector", "--config", str(config), *more]
        self._command += [] if page else ["--set", NO_PAGE]
        self._env = {**os.environ, **(env or {})}
        self._fds: tuple[int, ...] = ()
        self.out: list[str] = []
        self.err: list[str] = []

    def __enter__(self) -> Collector:
        self.process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._env,
            pass_fds=self._fds,
        )
        self._readers = [self._read(self.process.stdout, self.out)]
        self._readers.append(self._read(self.process.stderr, self.err))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        """Return when the condition holds; fail when the process ends first or time is up."""
        end = time.monotonic() + seconds
        while not condition():
            told = "\n".join(self.err)
            assert self.process.poll() is None or condition(), f"it has ended:\n{told}"
            assert time.monotonic() < end, f"it took too long:\n{told}"
            time.sleep(0.005)

    def says(self, text: str) -> bool:
        """Whether a line of the log has this text."""
        return any(text in line for line in self.err)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Return the exit status, when everything written is in ``out`` and ``err``."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return status

    @staticmethod
    def _read(stream: IO[str] | None, lines: list[str]) -> threading.Thread:
        assert stream is not None

        def follow() -> None:
            for line in stream:
                lines.append(line.rstrip("\n"))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        return thread
