"""Servers below `heliograph run`, each as people start it."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from instrument.zero_code.conftest import launch

PATIENCE = 90.0


@contextmanager
def started(
    folder: Path, bin: Path, variables: dict[str, str], *command: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a folder; its output goes to ``output`` there. End its group whatever."""
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [*launch(bin), *command], cwd=folder, env=variables, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def get(port: int, path: str = "/") -> str:
    """Return a page, whatever its status, as soon as somebody answers."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def until(what: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.1)


def ended(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Send a signal; return the exit status."""
    process.send_signal(number)
    return process.wait(PATIENCE)
