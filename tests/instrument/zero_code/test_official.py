"""`opentelemetry-instrument` with Heliograph installed: alone, named, and beside another one."""

import json
import subprocess
from pathlib import Path

import pytest

from heliograph.instrument._winner import winner
from instrument.conftest import Backend, attributes
from instrument.zero_code.conftest import Run
from instrument.zero_code.environment import folder

PROGRAM = """
import json, logging, sys
import sqlite3, requests
from opentelemetry import trace
with sqlite3.connect(":memory:") as connection:
    connection.execute("select 1")
logging.getLogger().warning("logged")
print(json.dumps([type(trace.get_tracer_provider()).__module__, "flask" in sys.modules]))
"""

slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("installed", "named", "wins"),
    [
        ([], None, None),
        (["heliograph"], None, "heliograph"),
        (["heliograph", "distro"], None, "distro"),
        (["distro", "heliograph"], None, "distro"),
        (["distro", "heliograph"], "heliograph", "heliograph"),
        (["distro", "heliograph"], "distro", "distro"),
        (["heliograph"], "gone", None),
    ],
)
def test_winner(installed: list[str], named: str | None, wins: str | None) -> None:
    assert winner(installed, named) == wins


@slow
@pytest.mark.parametrize("named", [{}, {"OTEL_PYTHON_DISTRO": "heliograph"}], ids=str)
def test_the_official_launcher_gives_the_same(
    backend: Backend, run: Run, named: dict[str, str]
) -> None:
    done = run(PROGRAM, launcher="opentelemetry-instrument", **named)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "logged\n"
    module, has_flask = json.loads(done.stdout)
    assert module.startswith("heliograph.sdk")
    assert not has_flask
    (span,) = backend.wait("spans")
    assert attributes(span)["db.system.name"] == "sqlite"
    assert span["resource"]["service.name"] == "program"
    assert [log["body"]["stringValue"] for log in backend.wait("logs")] == ["logged"]


@slow
def test_its_flags_are_there_without_the_sdk(variables: dict[str, str], bin: Path) -> None:
    done = subprocess.run(
        [bin / "opentelemetry-instrument", "--service_name", "flagged", "python", "-c",
         "import os; print(os.environ['OTEL_SERVICE_NAME'])"],
        env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "flagged\n"), done.stderr


@slow
def test_a_working_set_up_is_not_hijacked(
    backend: Backend, run: Run, variables: dict[str, str]
) -> None:
    official = f"{variables['PYTHONPATH']}:{folder() / 'official'}"
    settings = {"PYTHONPATH": official, "OTEL_TRACES_EXPORTER": "console",
                "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}  # fmt: skip
    program = PROGRAM.replace("print(", "print('\\n' + ").replace("('\\n' + json", "(json")
    done = run(program, launcher="opentelemetry-instrument", **settings)
    assert done.returncode == 0, done.stderr
    found = next(line for line in done.stdout.splitlines() if line.startswith("["))
    assert json.loads(found)[0] == "opentelemetry.sdk.trace"
    assert "Traceback" not in done.stderr
    assert backend.items("spans") == []
    named = {"OTEL_PYTHON_DISTRO": "heliograph", "OTEL_PYTHON_CONFIGURATOR": "heliograph"}
    done = run(program, launcher="opentelemetry-instrument", **settings, **named)
    found = next(line for line in done.stdout.splitlines() if line.startswith("["))
    assert json.loads(found)[0].startswith("heliograph.sdk"), done.stderr
