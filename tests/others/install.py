"""Install what the suites of others need, once: an environment and their unpacked sources.

The environment has no opentelemetry-sdk. Nothing of it enters this repository.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from others.environments import CACHE, environment

HERE = Path(__file__).parent
REQUIREMENTS, SUITES = HERE / "requirements.txt", HERE / "suites.txt"


def interpreter() -> Path:
    """Return the Python of the environment."""
    # Their requirements name opentelemetry-sdk, which is what is to be absent.
    return environment("others", REQUIREMENTS.read_text())


def sources() -> Path:
    """Return the folder of the sources, as the list of suites is now."""
    return CACHE / f"heliograph-sources-{hashlib.sha256(SUITES.read_bytes()).hexdigest()[:12]}"


def install() -> None:
    """Make what is not there."""
    python, folder = interpreter(), sources()
    done = folder / ".unpacked"
    if done.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    print("heliograph: downloading the test suites of others (some minutes)", flush=True)
    download = [python, "-m", "pip", "--disable-pip-version-check", "-q", "download"]
    as_source = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
    subprocess.run([*download, *as_source, "-d", folder, "-r", SUITES], check=True)
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
        archive.unlink()
    done.touch()


if __name__ == "__main__":
    install()
    sys.exit()
