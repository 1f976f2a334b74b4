"""Task queues lose nothing where each worker process ends after one task."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from exporters.backends import GrpcBackend

from life.programs import (
    LAUNCHER,
    PATIENCE,
    PROVIDERS,
    WORK,
    counts,
    said,
    started,
    variables,
)

pytestmark = pytest.mark.slow

APP = """
from celery import Celery

for folder in ("queue", "results"):
    os.makedirs(folder, exist_ok=True)
app = Celery("program", broker="filesystem://", backend="file://results")
places = ("data_folder_in", "data_folder_out")
app.conf.broker_transport_options = dict.fromkeys(places, "queue")
"""
TASKS = "task = app.task(work, name='work')"
ASK = """
wanted = [app.send_task("work", (f"{number:02}",)) for number in range(12)]
for one in wanted:
    one.get(timeout=60, interval=0.05)
"""
WORKER = (
    *("-A", "program", "worker", "--pool", "prefork", "--concurrency", "2"),
    *("--max-tasks-per-child", "1", "--without-mingle", "--without-gossip", "--loglevel", "ERROR"),
)


@pytest.mark.parametrize("launched", [False, True])
def test_celery_prefork_loses_nothing(
    launched: bool, backend: GrpcBackend, commands: Path, tmp_path: Path
) -> None:
    program = PROVIDERS * (not launched) + WORK + "\nimport os" + APP + TASKS
    command = [*LAUNCHER * launched, commands / "celery", *WORKER]
    with started(tmp_path, backend, *command, program=program) as process:
        subprocess.run(
            [commands / "python", "-c", "import os" + APP + ASK],
            cwd=tmp_path,
            env=variables(tmp_path, backend),
            timeout=90,
            check=True,
        )
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE)
    wanted = [f"{number:02}" for number in range(12)]
    assert counts(backend.received, wanted) == (wanted, wanted, len(wanted)), said(tmp_path)
    said(tmp_path)
