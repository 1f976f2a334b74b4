"""A bad endpoint holds an end up for a bound, whatever is held; one line says what is lost."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from exporters.backends import GrpcBackend
from life.programs import PROVIDERS, WORK

from sdk.programs import run

PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "120"}
"""Lets an export try for two minutes, so that who waits for it is told from who does not."""

LONG = 45
"""Seconds that a slow machine may take for a process that waits for two."""

SETUP = PROVIDERS.replace("OTEL_EXPORTER_OTLP_ENDPOINT", "ENDPOINT") + WORK
ENDS = {
    "exit": ("", 0),
    "sigterm": (
        "import signal, time; time.sleep(0.5)\n"
        "os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
        -signal.SIGTERM,
    ),
}


@contextmanager
def dead() -> Iterator[int]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


@contextmanager
def black_hole() -> Iterator[int]:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        yield hole.getsockname()[1]


@contextmanager
def slow() -> Iterator[int]:
    backend = GrpcBackend(lambda _: (time.sleep(20), b"")[1])
    try:
        yield backend.port
    finally:
        backend.stop()


@pytest.mark.parametrize("endpoint", [dead, black_hole, slow])
@pytest.mark.parametrize("end", ENDS)
def test_an_end_takes_its_bound_and_says_one_line(
    end: str, endpoint: Callable[[], AbstractContextManager[int]]
) -> None:
    how, status = ENDS[end]
    with endpoint() as port:
        began = time.monotonic()
        ended = run("work('lost')\n" + how, port, setup=SETUP, **PATIENT)
        assert time.monotonic() - began < LONG
    assert ended.returncode == status
    (line,) = ended.stderr.splitlines()
    assert sorted(line.partition(" could")[0].split(", ")) == [
        "1 log records",
        "1 spans",
        "metrics",
    ]
    assert f" could not be exported before the exit: 127.0.0.1:{port}: " in line


@pytest.mark.parametrize("end", ENDS)
def test_the_bound_can_be_set(end: str) -> None:
    how, _ = ENDS[end]
    with slow() as port:
        began = time.monotonic()
        ended = run(
            "work('kept')\n" + how, port, setup=SETUP, HELIOGRAPH_EXIT_TIMEOUT="60", **PATIENT
        )
        assert time.monotonic() - began > 19
    assert ended.stderr == ""
