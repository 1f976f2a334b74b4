"""Programs in the environment of real servers and contrib's packages."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from instrument.conftest import Backend, clean_environment
from instrument.real.conftest import postgres_server as postgres_server
from instrument.real.conftest import redis_server as redis_server
from instrument.zero_code.environment import ROOT, folder, metadata

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bin() -> Path:
    return folder() / "bin"


@pytest.fixture
def variables(tmp_path: Path, backend: Backend, bin: Path) -> dict[str, str]:
    """The environment of a program that has Heliograph installed and a backend to send to."""
    installed = metadata(tmp_path / "installed")
    return clean_environment(
        PATH=f"{bin}:/usr/bin:/bin",
        PYTHONPATH=f"{ROOT / 'src'}:{installed}:{tmp_path}",
        OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint,
        OTEL_SERVICE_NAME="program",
        OTEL_BSP_SCHEDULE_DELAY="200",
        OTEL_BLRP_SCHEDULE_DELAY="200",
        OTEL_METRIC_EXPORT_INTERVAL="1000",
    )


@pytest.fixture
def run(variables: dict[str, str], tmp_path: Path, bin: Path) -> Run:
    """Run a Python program to its end, below ``heliograph run`` or another launcher."""

    def call(
        program: str, *arguments: str, launcher: str = "heliograph", **more: str
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "program.py").write_text(program)
        return subprocess.run(
            [*launch(bin, launcher), "python", "program.py", *arguments],
            cwd=tmp_path, env=variables | more, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    return call


def launch(bin: Path, launcher: str = "heliograph") -> list[str]:
    """Return the words before a command."""
    if launcher == "heliograph":
        code = "import sys; from heliograph.cli import main; sys.exit(main())"
        return [str(bin / "python"), "-c", code, "run"]
    return [str(bin / launcher)] if launcher else []
