"""Run the SDK's tests with the oldest opentelemetry-api that it supports.

The environment is ``.make/oldest``, made anew when ``oldest.txt`` changes. What compares with the
official SDK or API (marker ``official``) is left out: older ones do less. ``--lock`` writes
``oldest.txt``: versions of ``requirements.lock`` but for those of OpenTelemetry.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PINNED = HERE / "oldest.txt"
FOLDER = ROOT / ".make" / "oldest"
UV = (sys.executable, "-m", "uv")


def oldest() -> str:
    """Return the version that pyproject.toml says, such as 1.44.0."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = [one for one in project["dependencies"] if one.startswith("opentelemetry-api")]
    found = re.search(r">=(\d+\.\d+)", bound)
    assert found, bound
    return f"{found[1]}.0"


def lock() -> None:
    """Write the versions to install."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split(" \\")[0] for line in lines if re.match(r"[a-z0-9]", line)]
    pins = [pin for pin in pins if not pin.startswith("opentelemetry")]
    pins.append(f"opentelemetry-api=={oldest()}")
    options = ["--quiet", "--universal", "--python-version=3.11", "--all-extras"]
    options += ["--generate-hashes", "--no-header", "--no-annotate"]
    options += ["--no-emit-index-url", "--no-emit-find-links", "--constraints=-"]
    subprocess.run(
        [*UV, "pip", "compile", *options, ROOT / "pyproject.toml", "-o", PINNED],
        input="\n".join(pins),
        text=True,
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )


def environment() -> Path:
    """Return the Python of the environment, which is made when it is not there."""
    python, done = FOLDER / "bin" / "python", FOLDER / ".installed"
    wanted = hashlib.sha256(PINNED.read_bytes() + sys.version.encode()).hexdigest()
    if done.exists() and done.read_text() == wanted:
        return python
    print(f"heliograph: installing what is tested with opentelemetry-api {oldest()}", flush=True)
    subprocess.run([*UV, "venv", "-q", "--clear", "--python", sys.executable, FOLDER], check=True)
    install = [*UV, "pip", "install", "-q", "--require-hashes", "--no-deps", "--python", python]
    subprocess.run([*install, "-r", PINNED], check=True)
    _install_this(python)
    done.write_text(wanted)
    return python


def _install_this(python: Path) -> None:
    """Install this checkout with the native core that was built for it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = FOLDER / "lib" / version / "site-packages"
    (packages / "heliograph.pth").write_text(f"{ROOT / 'src'}\n")
    here = distribution("heliograph")
    info = Path(str(here.locate_file(f"heliograph-{here.version}.dist-info")))
    shutil.copytree(info, packages / info.name)
    command = FOLDER / "bin" / "heliograph"
    command.write_text(f"#!{python}\nfrom heliograph.cli import main\nraise SystemExit(main())\n")
    command.chmod(0o755)


if __name__ == "__main__":
    if "--lock" in sys.argv:
        lock()
        sys.exit()
    tests = [environment(), "-m", "pytest", "-n", "2", "-m", "not slow and not official"]
    sys.exit(subprocess.run([*tests, "tests/sdk"], cwd=ROOT, check=False).returncode)
