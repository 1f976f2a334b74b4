"""Programs that make processes lose nothing of any of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from exporters.backends import GrpcBackend

from life.programs import LAUNCHER, PATIENCE, PROVIDERS, WORK, counts, said, started

pytestmark = pytest.mark.slow

FORKS = """
import os, sys, threading
ended = threading.Event()
def record():
    number = 0
    while not ended.wait(0.001):
        work(f"parent {number:04}")
        number += 1
    print(number, flush=True)
thread = threading.Thread(target=record)
thread.start()
children = []
for number in range(8):
    pid = os.fork()
    if pid == 0:
        work(f"child {number}")
        sys.exit(0)
    children.append(pid)
    trace.get_tracer_provider().force_flush()
    metrics.get_meter_provider().force_flush()
    _logs.get_logger_provider().force_flush()
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
ended.set()
thread.join()
"""
MULTIPROCESSING = """
import multiprocessing, sys
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=work, args=(f"process {n}",)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    with context.Pool(2, maxtasksperchild=2) as pool:
        pool.map(work, [f"task {n}" for n in range(6)], chunksize=1)
        pool.close()
        pool.join()
    work("parent")
"""


def command(launched: bool, *arguments: str) -> tuple[str | Path, ...]:
    return (*LAUNCHER * launched, sys.executable, "program.py", *arguments)


@pytest.mark.parametrize("launched", [False, True])
def test_a_parent_exports_while_it_forks(
    launched: bool, backend: GrpcBackend, tmp_path: Path
) -> None:
    program = PROVIDERS * (not launched) + WORK + FORKS
    with started(tmp_path, backend, *command(launched), program=program) as process:
        assert process.wait(timeout=3 * PATIENCE) == 0, said(tmp_path)
    wanted = [f"child {number}" for number in range(8)]
    wanted += [f"parent {number:04}" for number in range(int(said(tmp_path)))]
    assert counts(backend.received, wanted) == (wanted, wanted, len(wanted))


@pytest.mark.parametrize("launched", [False, True])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_lose_nothing(
    method: str, launched: bool, backend: GrpcBackend, tmp_path: Path
) -> None:
    program = PROVIDERS * (not launched) + WORK + MULTIPROCESSING
    with started(tmp_path, backend, *command(launched, method), program=program) as process:
        assert process.wait(timeout=3 * PATIENCE) == 0, said(tmp_path)
    wanted = ["parent", *(f"process {n}" for n in range(3)), *(f"task {n}" for n in range(6))]
    assert counts(backend.received, wanted) == (wanted, wanted, len(wanted)), said(tmp_path)
    said(tmp_path)
