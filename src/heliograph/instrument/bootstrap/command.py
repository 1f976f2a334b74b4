"""`heliograph bootstrap`: look, decide, call the resolver once, look again."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from heliograph.instrument._activation import CHOSEN, DISABLED, listed
from heliograph.instrument.bootstrap import _installers as installers
from heliograph.instrument.bootstrap._interpreters import Interpreter, InterpreterError, look
from heliograph.instrument.bootstrap._plan import Plan, changed, plan, unmet
from heliograph.instrument.bootstrap._table import as_json, table

OK = 0
FAILED = 1
USAGE = 2
NO_VERSION = "the index has no version of it"

TRIES = 40
"""Calls of the resolver, each without what the one before said is not there."""


class BootstrapError(Exception):
    """Why nothing could be resolved or installed, a line each."""


def main(arguments: Sequence[str]) -> int:
    """Return 0 when all that was chosen is there, 1 when not, 2 for a wrong command."""
    given = _parser().parse_args([_with_dashes(each) for each in arguments])
    try:
        python = look(given.python)
    except InterpreterError as error:
        print(f"heliograph bootstrap: --python: {error}", file=sys.stderr)
        return USAGE
    before = after = python.installed
    decided = plan(before, listed(DISABLED), listed(CHOSEN) | set(given.contrib))
    dry = given.dry_run or given.action == "requirements"
    errors: list[str] = []
    try:
        decided = carry_out(decided, python, given.installer, dry_run=dry)
    except BootstrapError as error:
        errors = str(error).splitlines()
    if not dry:
        after = look(given.python).installed
    errors += sorted(unmet(after) - unmet(before))
    lost = [row.instrumentation for row in decided.rows if row.reason == NO_VERSION]
    if lost:
        errors.append(f"not to be had: {', '.join(lost)}")
    _say(given, decided, list(changed(before, after)), errors)
    return FAILED if errors else OK


def _say(given: argparse.Namespace, decided: Plan, done: list[str], errors: list[str]) -> None:
    if given.json:
        print(json.dumps(as_json(decided, done, errors), indent=2))
        return
    pins = given.action == "requirements"
    print(table(decided), file=sys.stderr if pins else sys.stdout, flush=True)
    if pins and not errors:
        print(
            "\n".join(f"{row.instrumentation}=={row.chosen}" for row in decided.rows if row.chosen)
        )
    print("".join(f"{line}\n" for line in done), end="", flush=True)
    for line in errors:
        print(f"heliograph bootstrap: {line}", file=sys.stderr)


def carry_out(decided: Plan, python: Interpreter, asked: str | None, *, dry_run: bool) -> Plan:
    """Resolve, and install unless it is a dry run; return the plan as it came out.

    Packages of which the index has nothing are skipped. Raises: BootstrapError.
    """
    if not decided.wanted:
        return decided
    installer = installers.choose(
        asked=asked,
        has_pip=python.has_pip,
        uv=shutil.which("uv", path=python.programs),
        made_by_uv=python.is_of_uv,
    )
    if installer is None:
        raise BootstrapError(f"there is no {asked or 'pip and no uv'} here to install with")
    for _ in range(TRIES):
        status, output, report = _call(installer, python, decided, dry_run=dry_run)
        if status == 0:
            return decided.resolved(installer.versions(output, report))
        missing = installers.missing(output, decided.wanted)
        decided = decided.without(missing, NO_VERSION)
        if not missing:
            raise BootstrapError("\n".join(installers.reason(output)))
        if not decided.wanted:
            break
    return decided


def _call(
    installer: installers.Installer, python: Interpreter, decided: Plan, *, dry_run: bool
) -> tuple[int, str, str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = installers.Files(folder / "wanted", folder / "kept", folder / "report")
        files.requirements.write_text("\n".join(decided.requirements))
        files.constraints.write_text("\n".join(decided.constraints))
        command = installer.command(python.executable, files, dry_run=dry_run)
        environ = os.environ | {"NO_COLOR": "1"}
        done = subprocess.run(  # noqa: S603 - pip or uv
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=environ,
        )
        report = files.report.read_text() if files.report.exists() else ""
        return done.returncode, done.stdout, report


def _with_dashes(argument: str) -> str:
    """Return a flag as the parser has it; it may be written with underscores."""
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else argument


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        "heliograph bootstrap",
        description="Find what is installed and the instrumentations that fit it. Libraries that"
        " Heliograph instruments itself need none; packages of the program keep their versions.",
    )
    parser.add_argument(
        "-a", "--action", choices=["install", "requirements"], default="requirements",
        help="install them, or print them as lines of a requirements file (the default)",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="resolve, and install nothing")
    parser.add_argument(
        "--python", metavar="PATH",
        help="the interpreter, or the folder of the environment, to look at and install for; by"
        " default the one that runs this",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--installer", choices=["pip", "uv"],
        help="what installs; by default uv where it made the environment or pip is missing",
    )  # fmt: skip
    parser.add_argument(
        "--contrib", metavar="NAME", action="append", default=[],
        help=f"contrib's package, where ours would do; as {CHOSEN}",
    )  # fmt: skip
    return parser
