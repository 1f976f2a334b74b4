"""Environments with packages of others, installed once and kept outside of this repository.

One stands for each content of its list, under ``${XDG_CACHE_HOME:-~/.cache}/heliograph-NAME-HASH``.
Heliograph comes by PYTHONPATH.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
OFFICIAL = re.compile(r"opentelemetry-(sdk|exporter-(otlp.*|http-transport))==")
"""What our SDK stands in for."""


def environment(name: str, pinned: str, *, official: bool = True) -> Path:
    """Return the Python of an environment, which is made when it is not there.

    Args:
        pinned: lines of requirements, complete: nothing else is installed.
        official: False leaves the official SDK and its exporters out.
    """
    if not official:
        pinned = "".join(one for one in pinned.splitlines(True) if not OFFICIAL.match(one))
    version = f"{sys.version_info.major}.{sys.version_info.minor}\n"
    folder = (
        CACHE / f"heliograph-{name}-{hashlib.sha256((version + pinned).encode()).hexdigest()[:12]}"
    )
    python, done = folder / "bin" / "python", folder / ".installed"
    if done.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, folder], check=True)
    install = [*uv, "pip", "install", "-q", "--no-deps", "--python", python, "-r", "-"]
    subprocess.run(install, input=pinned, text=True, check=True)
    done.touch()
    return python
