"""pip and uv: the command of each, and what its output says. Pure."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, Protocol

from heliograph.instrument.bootstrap._plan import normal

UNREACHABLE = re.compile(r"Retrying \(|Failed to fetch|error sending request|Connection refused")


class Files(NamedTuple):
    """What a call reads and writes."""

    requirements: Path
    constraints: Path
    report: Path


class Installer(Protocol):
    """A program that resolves and installs."""

    name: str

    def command(self, python: str, files: Files, *, dry_run: bool) -> list[str]:
        """Return the one call."""
        ...

    def versions(self, output: str, report: str) -> dict[str, str]:
        """Return what was, or would be, installed."""
        ...


class Pip:
    """pip of the environment itself."""

    name = "pip"

    def command(self, python: str, files: Files, *, dry_run: bool) -> list[str]:
        quiet = ("--disable-pip-version-check", "--no-input")
        named = ("-r", files.requirements, "-c", files.constraints, "--report", files.report)
        call = [python, "-m", "pip", "install", *quiet, *map(str, named)]
        return [*call, "--dry-run"] if dry_run else call

    def versions(self, output: str, report: str) -> dict[str, str]:
        found = json.loads(report)["install"] if report else []
        each = [one["metadata"] for one in found]
        return {normal(one["name"]): one["version"] for one in each}


class Uv:
    """uv, for environments that it has made or that have no pip."""

    name = "uv"

    def __init__(self, program: str) -> None:
        self._program = program

    def command(self, python: str, files: Files, *, dry_run: bool) -> list[str]:
        named = ("-r", files.requirements, "-c", files.constraints)
        call = [self._program, "pip", "install", "--python", python, *map(str, named)]
        return [*call, "--dry-run"] if dry_run else call

    def versions(self, output: str, report: str) -> dict[str, str]:
        found = re.findall(r"^ [+~] ([\w.-]+)==(\S+)", output, re.MULTILINE)
        return {normal(name): version for name, version in found}


def missing(output: str, requirements: Collection[str]) -> set[str]:
    """Return the requirements of which the index has nothing, as a failed call says.

    Nothing, when the index could not be reached: then nobody knows.
    """
    if UNREACHABLE.search(output):
        return set()
    said = [
        *re.findall(r"No matching distribution found for ([\w.-]+)", output),
        *re.findall(r"([\w.-]+)\s+was\s+not\s+found\s+in\s+the", output),
        *re.findall(r"there\s+are\s+no\s+versions\s+of\s+([\w.-]+)", output),
    ]
    return {normal(name) for name in said} & set(requirements)


def choose(
    *, asked: str | None, has_pip: bool, uv: str | None, made_by_uv: bool
) -> Installer | None:
    """Return what installs here: uv where it made the environment or pip is missing, else pip."""
    if asked == "pip":
        return Pip() if has_pip else None
    if uv is not None and (asked == "uv" or made_by_uv or not has_pip):
        return Uv(uv)
    return Pip() if has_pip and asked is None else None


def reason(output: str) -> list[str]:
    """Return the lines of a failed call that say why: from the first error on, at most twelve."""
    lines = [line for line in output.splitlines() if line.strip()]
    first = next((n for n, line in enumerate(lines) if line.lower().startswith("error")), 0)
    return lines[first : first + 12]
