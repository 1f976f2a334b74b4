"""The environment in which real libraries run below `heliograph run`.

It has the libraries and contrib's instrumentations of requirements.txt, and neither Heliograph,
which comes by PYTHONPATH, nor opentelemetry-sdk. It is kept under
``${XDG_CACHE_HOME:-~/.cache}/heliograph-instrument/HASH``, one for each content of the list.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from instrument.conftest import clean_environment

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "src"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heliograph-instrument"
PACKAGES = HERE / "requirements.txt"
RUN = "import sys; from heliograph.cli import main; sys.exit(main(['run', *sys.argv[1:]]))"


def binaries() -> Path:
    """Return the folder of the environment's commands; make it when it is missing."""
    digest = hashlib.sha256(PACKAGES.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / digest
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            uv = Path(sys.executable).parent / "uv"
            subprocess.run([uv, "venv", "-q", "--clear", folder], check=True)
            python = ("-p", folder / "bin" / "python")
            subprocess.run(
                [uv, "pip", "install", "-q", "--compile-bytecode", *python, "-r", PACKAGES],
                check=True,
            )
            (folder / "ready").touch()
    return folder / "bin"


def launched(*command: str) -> list[str]:
    """Return ``heliograph run …`` as it is called in the environment."""
    return [str(binaries() / "python"), "-c", RUN, *command]


def variables(endpoint: str, **more: str) -> dict[str, str]:
    """Return the variables of a program whose telemetry goes to an endpoint, and soon."""
    return clean_environment(
        PATH=f"{binaries()}:{os.environ['PATH']}",
        PYTHONPATH=str(SOURCE),
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_BSP_SCHEDULE_DELAY="200",
        OTEL_BLRP_SCHEDULE_DELAY="200",
        OTEL_METRIC_EXPORT_INTERVAL="500",
        **more,
    )
