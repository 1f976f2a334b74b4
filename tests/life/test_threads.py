"""Forks from other threads than the main one, and programs whose threads gevent has replaced."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from exporters.backends import GrpcBackend

from life.programs import LAUNCHER, PATIENCE, PROVIDERS, WORK, counts, said, started

pytestmark = pytest.mark.slow

FLUSH = """
def flush():
    for provider in (
        trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()
    ):
        assert provider.force_flush()
"""
FORK = """
import os, sys, threading
results = []
def family(number):
    work(f"before {number}")
    pid = os.fork()
    if pid == 0:
        work(f"child {number}")
        if number:
            flush()
            os._exit(0)
        return
    work(f"after {number}")
    results.append(os.waitpid(pid, 0)[1])
threads = [threading.Thread(target=family, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert results == [0, 0, 0], results
"""
POOLED = """
import multiprocessing, threading
def start(number):
    process = multiprocessing.get_context("fork").Process(target=work, args=(f"child {number}",))
    work(f"before {number}")
    process.start()
    work(f"after {number}")
    process.join()
    assert process.exitcode == 0
threads = [threading.Thread(target=start, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def command(launched: bool, python: str | Path = sys.executable) -> tuple[str | Path, ...]:
    return (*LAUNCHER * launched, python, "program.py")


@pytest.mark.parametrize("launched", [False, True])
@pytest.mark.parametrize("forks", [FORK, POOLED], ids=["fork", "multiprocessing"])
def test_children_of_threads_lose_nothing(
    forks: str, launched: bool, backend: GrpcBackend, tmp_path: Path
) -> None:
    program = PROVIDERS * (not launched) + WORK + FLUSH + forks
    with started(tmp_path, backend, *command(launched), program=program) as process:
        assert process.wait(timeout=3 * PATIENCE) == 0, said(tmp_path)
    wanted = [f"{when} {number}" for when in ("after", "before", "child") for number in range(3)]
    assert counts(backend.received, wanted) == (wanted, wanted, len(wanted)), said(tmp_path)
    said(tmp_path)


PATCHED = "import gevent.monkey\ngevent.monkey.patch_all()\n"
GREENLETS = """
import gevent, threading, time
def some(name):
    for number in range(5):
        work(f"{name} {number}")
        time.sleep(0.001)
greenlets = [gevent.spawn(some, "greenlet"), gevent.spawn(some, "other")]
thread = threading.Thread(target=some, args=("thread",))
thread.start()
gevent.joinall(greenlets)
thread.join()
work("main")
"""
ENDS = {"exit": "", "flush": "flush()\n"}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("late", [False, True])
def test_a_program_that_gevent_has_patched(
    late: bool, end: str, backend: GrpcBackend, tmp_path: Path, commands: Path
) -> None:
    """Before and after the SDK is there."""
    program = PROVIDERS + PATCHED if late else PATCHED + PROVIDERS
    program += WORK + FLUSH + GREENLETS + ENDS[end]
    python = commands / "python"
    with started(tmp_path, backend, *command(False, python), program=program) as process:
        assert process.wait(timeout=PATIENCE) == 0, said(tmp_path)
    wanted = ["main", *(f"{who} {n}" for who in ("greenlet", "other", "thread") for n in range(5))]
    wanted.sort()
    assert counts(backend.received, wanted) == (wanted, wanted, len(wanted)), said(tmp_path)
    said(tmp_path)
