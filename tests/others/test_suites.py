"""The test suites that others ship, on our SDK: what fails is listed, and the list only shrinks.

``expected_failures.toml`` has a table for each suite: test (or a pattern of tests) to the reason.
A test that fails unlisted fails the run, and so does a listed one that passes.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from others.install import HERE, home

SUITES = [line.replace("==", "-") for line in (HERE / "suites.txt").read_text().split()]
EXPECTED: dict[str, dict[str, str]] = tomllib.loads((HERE / "expected_failures.toml").read_text())
SECONDS = 300
ROOT = HERE.parents[1]


def run_suite(suite: str, outcomes: Path) -> dict[str, tuple[str, str]]:
    """Run a suite in its own process; return the outcome and the error of each test."""
    folder = home()
    name, _, version = suite.rpartition("-")
    source = folder / "sources" / f"{name.replace('-', '_')}-{version}"
    done = subprocess.run(
        [folder / "venv" / "bin" / "python", "-m", "pytest", "-q", "--tb=line", "--timeout=60",
         "-p", "alias_plugin", "-p", "no:cacheprovider", "--rootdir=.", "tests"],
        cwd=source,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'src'}:{HERE}:tests",
            "OTHERS_OUTCOMES": str(outcomes),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert outcomes.exists(), done.stdout + done.stderr
    found: dict[str, tuple[str, str]] = json.loads(outcomes.read_text())
    return found


def judge(outcomes: dict[str, tuple[str, str]], expected: dict[str, str]) -> list[str]:
    """Return what is not as listed."""
    failed = {test for test, (outcome, _) in outcomes.items() if outcome == "failed"}
    listed = {test for test in outcomes for line in expected if fnmatchcase(test, line)}
    problems = [f"fails: {test}: {outcomes[test][1]}" for test in sorted(failed - listed)]
    problems += [f"passes, drop it from the list: {test}" for test in sorted(listed - failed)]
    problems += [
        f"is no test: {line}"
        for line in expected
        if not any(fnmatchcase(test, line) for test in outcomes)
    ]
    return problems


@pytest.mark.parametrize("suite", SUITES)
def test_suite_fails_only_where_it_is_listed(suite: str, tmp_path: Path) -> None:
    outcomes = run_suite(suite, tmp_path / "outcomes.json")
    assert any(outcome == "passed" for outcome, _ in outcomes.values())
    problems = judge(outcomes, EXPECTED.get(suite.rpartition("-")[0], {}))
    assert not problems, "\n".join(problems)


def test_the_list_names_only_suites_that_are_run() -> None:
    assert EXPECTED.keys() <= {suite.rpartition("-")[0] for suite in SUITES}
    assert all(reason for suite in EXPECTED.values() for reason in suite.values())


def test_what_is_not_as_listed_is_found() -> None:
    outcomes = {"a": ("passed", ""), "b": ("failed", "why"), "c": ("failed", "")}
    assert judge(outcomes, {"a": "", "c": "", "d": ""}) == [
        "fails: b: why",
        "passes, drop it from the list: a",
        "is no test: d",
    ]
