"""Install what the suites of others need, once: an environment and their unpacked sources.

The environment has no opentelemetry-sdk, and Heliograph comes by PYTHONPATH. It is kept under
``${XDG_CACHE_HOME:-~/.cache}/heliograph-others/HASH``, one for each content of requirements.txt
and suites.txt. Nothing of it enters this repository.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heliograph-others"
LISTS = (HERE / "requirements.txt", HERE / "suites.txt")


def home() -> Path:
    """Return the folder of the two lists as they are now, whether it is there or not."""
    lists = b"".join(file.read_bytes() for file in LISTS)
    return CACHE / hashlib.sha256(lists).hexdigest()[:16]


def install() -> Path:
    """Fill the folder when it is not complete, and return it."""
    folder = home()
    done = folder / ".installed"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    print("heliograph: installing the packages of others (about a minute)", flush=True)
    venv.create(folder / "venv", with_pip=True)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "-q"]
    # Their requirements name opentelemetry-sdk, which is what is to be absent.
    subprocess.run([*pip, "install", "--no-deps", "-r", LISTS[0]], check=True)
    unbuilt = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
    subprocess.run(
        [*pip, "download", *unbuilt, "-d", folder / "sdists", "-r", LISTS[1]], check=True
    )
    for archive in (folder / "sdists").glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder / "sources", filter="data")
    done.touch()
    return folder


if __name__ == "__main__":
    install()
    sys.exit()
