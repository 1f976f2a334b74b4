"""Where there is no native core, who asks for the SDK is told so in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import heliograph

SUFFIXES = {suffix[suffix.rindex(".") :] for suffix in EXTENSION_SUFFIXES}
LAUNCHER = str(Path(sys.executable).parent / "heliograph")


@pytest.fixture
def without_core(tmp_path: Path) -> dict[str, str]:
    """Return variables of a process that finds this package without its core."""
    package = tmp_path / "heliograph"
    package.mkdir()
    for one in Path(heliograph.__path__[0]).iterdir():
        if (
            not (one.name.startswith("_core.") and one.suffix in SUFFIXES)
            and one.name != "__pycache__"
        ):
            (package / one.name).symlink_to(one)
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def run(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_error_is_one_line(without_core: dict[str, str]) -> None:
    ended = run(without_core, sys.executable, "-c", "import heliograph.sdk.trace")
    *_, line = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert line.startswith(
        "ImportError: heliograph has no native core for this interpreter or platform"
    )
    assert "During handling" not in ended.stderr


def test_a_program_may_go_on_with_the_api(without_core: dict[str, str]) -> None:
    program = """
from opentelemetry import trace
try:
    import heliograph.sdk.trace
except ImportError as error:
    print(error.name)
with trace.get_tracer("t").start_as_current_span("s") as span:
    print(span.is_recording())
"""
    ended = run(without_core, sys.executable, "-c", program)
    assert (ended.returncode, ended.stdout) == (0, "heliograph._core\nFalse\n"), ended.stderr


def test_a_launched_program_goes_on(without_core: dict[str, str]) -> None:
    program = "from opentelemetry import trace; print(trace.get_tracer('t').start_span('s'))"
    ended = run(without_core, LAUNCHER, "run", sys.executable, "-c", program)
    assert ended.returncode == 0, ended.stderr
    assert "NonRecordingSpan" in ended.stdout
    *_, line = ended.stderr.splitlines()
    assert line.startswith(
        "heliograph: not instrumented: the native core cannot be loaded: heliograph has "
    )
