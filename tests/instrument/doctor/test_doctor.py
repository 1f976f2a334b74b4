"""`heliograph doctor`, as people call it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heliograph.instrument._activation import LEFT_TO_CONTRIB
from heliograph.instrument.bootstrap._plan import Package, plan
from heliograph.instrument.doctor._libraries import merged, observed
from instrument.bootstrap.wheels import package
from instrument.conftest import HELIOGRAPH, clean_environment, free_port

PYTHON = sys.executable
NOWHERE = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


def doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HELIOGRAPH, "doctor", *arguments],
        env=clean_environment(**variables), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def libraries(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(done.stdout)["libraries"]}


def test_libraries_of_a_command_that_ran(tmp_path: Path) -> None:
    package(tmp_path, "requests", "1.9")
    done = doctor(
        "--json", PYTHON, "-c", "import sqlite3, requests, urllib3; print('program')",
        PYTHONPATH=str(tmp_path), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="urllib3", **NOWHERE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "program\n"
    found = {name: (each["instrumented"], each["text"]) for name, each in libraries(done).items()}
    assert found["sqlite3"] == (True, "instrumented")
    assert found["requests"] == (False, "not instrumented: needs requests ~= 2.0, found 1.9")
    assert found["urllib3"] == (False, "disabled by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")
    assert found["flask"] == (None, "its library is not imported")
    assert found["grpcio"][0] is False
    assert "heliograph bootstrap" in found["grpcio"][1]


def test_a_server_is_ended_after_the_time_that_is_given() -> None:
    done = doctor("--json", "--for", "0.5", PYTHON, "-c", "import time; time.sleep(600)", **NOWHERE)
    assert done.returncode == 0


def test_what_ends_by_a_signal_reports_too() -> None:
    code = "import os, sqlite3; os.kill(os.getpid(), 15)"
    done = doctor("--json", PYTHON, "-c", code, **NOWHERE)
    assert libraries(done)["sqlite3"]["instrumented"] is True


def test_what_was_imported_too_early_is_said() -> None:
    code = (
        "import sqlite3; from heliograph.instrument.start import start\n"
        "print(start().states['sqlite3'])"
    )
    done = subprocess.run(
        [PYTHON, "-c", code], env=clean_environment(**NOWHERE), capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("instrumented, but it was imported earlier"), done.stderr


def test_text_says_where_telemetry_goes_what_is_wrong_and_who_wins() -> None:
    port = free_port()
    done = doctor("--exporter-otlp-endpoint", f"http://127.0.0.1:{port}")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert any(line.split()[0:1] == ["flask"] and "by Heliograph" in line for line in lines)
    where = f"127.0.0.1:{port}"
    assert f"  traces   otlp  grpc  {where}  nobody listens at {where}" in lines
    assert sum("fix: start a collector there" in line for line in lines) == 1
    assert "  distro: heliograph" in lines


def test_another_distribution_is_named(tmp_path: Path) -> None:
    package(tmp_path, "other-distro", "1.0")
    points = next(tmp_path.glob("*.dist-info")) / "entry_points.txt"
    points.write_text("[opentelemetry_distro]\nother = other:Distro\n")
    done = doctor("--json", PYTHONPATH=str(tmp_path), **NOWHERE)
    winners = json.loads(done.stdout)["official_launcher"]
    assert winners == {
        "opentelemetry_distro": "other",
        "opentelemetry_configurator": "heliograph",
    }
    done = doctor(PYTHONPATH=str(tmp_path), **NOWHERE)
    assert "  distro: other; for ours: OTEL_PYTHON_DISTRO=heliograph" in done.stdout


def test_disabled_is_said() -> None:
    done = doctor(OTEL_SDK_DISABLED="true", OTEL_TRACES_EXPORTER="none")
    assert done.returncode == 0
    assert "OTEL_SDK_DISABLED is true" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--for", "x"], 2, "heliograph doctor: --for needs a number of seconds"),
        (["nosuchcmd"], 127, "heliograph doctor: command not found: nosuchcmd"),
        (["--nosuch", "x"], 2, "heliograph doctor: there is no flag --nosuch"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], status: int, line: str) -> None:
    done = doctor(*arguments)
    assert (done.returncode, done.stderr) == (status, line + "\n")


def test_what_the_program_instruments_with_contrib_is_instrumented() -> None:
    (found,) = observed({"flask": LEFT_TO_CONTRIB}, plan({"flask": Package("3.1.3")}, ["*"]))
    assert (found.name, found.instrumented) == ("flask", True)


def test_the_process_that_came_furthest_counts() -> None:
    waiting, done, failed = "its library is not imported", "instrumented", "failed: x"
    assert merged([{"a": waiting, "b": done}, {"a": done, "b": failed, "c": failed}]) == {
        "a": done,
        "b": done,
        "c": failed,
    }
