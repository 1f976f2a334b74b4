"""The list of licences tells what is not allowed."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "licences.py"
NAMES = runpy.run_path(str(TOOL))


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("(MIT AND GPL-3.0-only) OR Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only", False),
        ("MPL-2.0", False),
        ("not said", False),
    ],
)
def test_what_users_get_is_permissive(expression: str, allowed: bool) -> None:
    assert NAMES["allowed"](expression, NAMES["PERMISSIVE"]) is allowed


def test_spellings_become_identifiers() -> None:
    assert NAMES["spdx"]("Mozilla Public License 2.0 (MPL 2.0)") == "MPL-2.0"
    assert NAMES["spdx"]("BSD License OR Apache 2.0") == "BSD-3-Clause OR Apache-2.0"


def test_npm_packages_are_read_from_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "package-lock.json"
    packages = {
        "": {"name": "us"},
        "node_modules/a": {"license": "MIT"},
        "node_modules/a/node_modules/@b/c": {},
    }
    lock.write_text(json.dumps({"packages": packages}))
    assert list(NAMES["npm_licences"](lock)) == [("a", "MIT"), ("@b/c", "not said")]


def test_a_planted_licence_fails_the_check() -> None:
    planted = (
        f"import runpy, sys\nmain = runpy.run_path({str(TOOL)!r})['main']\n"
        "main.__globals__['PERMISSIVE'].discard('PSF-2.0')\n"
        "sys.exit(main(['--check']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", planted], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "typing-extensions: PSF-2.0 is not an allowed licence" in done.stderr
