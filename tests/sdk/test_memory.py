"""Memory of a program that records for long, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("memory.py")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

QUICK = {
    "spans": 200_000,
    "sets": 60_000,
    "silent_grpc": 150_000,
    "silent_http": 150_000,
    "silent_logs": 150_000,
    "silent_metrics": 40_000,
}
LONG = {
    "spans": 10_000_000,
    "sets": 1_000_000,
    "silent_grpc": 5_000_000,
    "silent_http": 5_000_000,
    "silent_logs": 5_000_000,
    "silent_metrics": 1_000_000,
}

QUEUE = {"silent_grpc": 8, "silent_http": 8, "silent_logs": 8, "spans": 4}
"""MiB that wait for the exporter."""

GROWTH = 8.0
"""MiB by which memory may differ once queues and caches are full."""


def run(name: str, count: int) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), name, str(count)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    found = json.loads(done.stdout)
    assert found["most"] - found["warm"] < GROWTH, found
    # Queued bytes, those on their way, and what the allocator holds beside them.
    assert found["most"] - found["bare"] < 3 * QUEUE.get(name, 0) + 4 * GROWTH, found


@pytest.mark.parametrize("name", QUICK)
def test_memory_does_not_grow(name: str) -> None:
    run(name, QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_memory_does_not_grow_for_long(name: str) -> None:
    run(name, LONG[name])
