"""The environment in which programs run below the launchers: servers, contrib's packages, no SDK.

Heliograph comes by PYTHONPATH, with the metadata of its entry points. ``official`` is a folder
beside it with the official distribution and SDK. Both are kept under
``${XDG_CACHE_HOME:-~/.cache}/heliograph-instrument/HASH``, one for each content of the two lists.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heliograph-instrument"
LISTS = (HERE / "requirements.txt", HERE / "official.txt")


def folder() -> Path:
    """Return the folder; fill it when it is missing."""
    content = b"".join(path.read_bytes() for path in LISTS) + sys.version.encode()
    found = CACHE / hashlib.sha256(content).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{found.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found / "ready").exists():
            uv = Path(sys.executable).parent / "uv"
            subprocess.run([uv, "venv", "-q", "--clear", found], check=True)
            install = [uv, "pip", "install", "-q", "-p", found / "bin" / "python", "--no-deps"]
            subprocess.run([*install, "--compile-bytecode", "-r", LISTS[0]], check=True)
            official = ("--target", found / "official", "-r", LISTS[1])
            subprocess.run([*install, *official], check=True)
            (found / "ready").touch()
    return found


def metadata(place: Path) -> Path:
    """Write what the installed package says of itself, as pyproject.toml has it; return where."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = place / f"heliograph-{project['version']}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", "Name: heliograph", f"Version: {project['version']}"]
    lines += [f"Requires-Dist: {each}" for each in project["dependencies"]]
    (info / "METADATA").write_text("\n".join([*lines, "", ""]))
    points = {"console_scripts": project["scripts"], **project["entry-points"]}
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for group, entries in points.items()
        )
    )
    return place
