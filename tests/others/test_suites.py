"""The test suites that others ship, on our SDK: what fails is listed, and the list only shrinks.

``expected_failures.toml`` has a table for each suite: test (or a pattern of tests) to the reason.
A test that fails unlisted fails the run, and so does a listed one that passes, unless its reason
begins with `UNSTEADY`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from others.install import HERE, interpreter, sources

SUITES = [line.replace("==", "-") for line in (HERE / "suites.txt").read_text().split()]
EXPECTED: dict[str, dict[str, str]] = tomllib.loads((HERE / "expected_failures.toml").read_text())
SECONDS = 600
ROOT = HERE.parents[1]
UNSTEADY = "a matter of time: "


def run_suite(suite: str, outcomes: Path, *tests: str) -> dict[str, tuple[str, str]]:
    """Run a suite, or some of its tests, in its own process; return the outcome and the error of
    each test."""
    name, _, version = suite.rpartition("-")
    source = sources() / f"{name.replace('-', '_')}-{version}"
    done = subprocess.run(
        [interpreter(), "-m", "pytest", "-q", "--tb=line", "--timeout=60",
         "-p", "alias_plugin", "-p", "no:cacheprovider", "--rootdir=.",
         *(tests or ["tests"])],
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


def unlisted(outcomes: dict[str, tuple[str, str]], expected: dict[str, str]) -> list[str]:
    """Return the tests that fail and are not listed."""
    failed = [test for test, (outcome, _) in outcomes.items() if outcome == "failed"]
    return [test for test in failed if not any(fnmatchcase(test, line) for line in expected)]


def judge(outcomes: dict[str, tuple[str, str]], expected: dict[str, str]) -> list[str]:
    """Return what is not as listed."""
    failed = {test for test, (outcome, _) in outcomes.items() if outcome == "failed"}
    listed = {test for test in outcomes for line in expected if fnmatchcase(test, line)}
    problems = [f"fails: {test}: {outcomes[test][1]}" for test in unlisted(outcomes, expected)]
    steady = {line for line, reason in expected.items() if not reason.startswith(UNSTEADY)}
    passed = {test for test in listed - failed if any(fnmatchcase(test, line) for line in steady)}
    problems += [f"passes, drop it from the list: {test}" for test in sorted(passed)]
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
    expected = EXPECTED.get(suite.rpartition("-")[0], {})
    # Many of them hope that something happens within some milliseconds.
    if hasty := unlisted(outcomes, expected):
        outcomes |= run_suite(suite, tmp_path / "again.json", *hasty)
    problems = judge(outcomes, expected)
    assert not problems, "\n".join(problems)


def test_the_list_names_only_suites_that_are_run() -> None:
    assert EXPECTED.keys() <= {suite.rpartition("-")[0] for suite in SUITES}
    assert all(reason for suite in EXPECTED.values() for reason in suite.values())


def test_what_is_not_as_listed_is_found() -> None:
    outcomes = {
        "a": ("passed", ""),
        "b": ("failed", "why"),
        "c": ("failed", ""),
        "t": ("passed", ""),
    }
    assert judge(outcomes, {"a": "", "c": "", "d": "", "t": UNSTEADY}) == [
        "fails: b: why",
        "passes, drop it from the list: a",
        "is no test: d",
    ]
