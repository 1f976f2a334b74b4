"""`heliograph bootstrap`: look, decide, call the resolver once, look again."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from heliograph.instrument._activation import CHOSEN, DISABLED, listed
from heliograph.instrument.bootstrap import _installers as installers
from heliograph.instrument.bootstrap._plan import (
    Package,
    Plan,
    changed,
    normal,
    plan,
    unmet,
)
from heliograph.instrument.bootstrap._table import as_json, table

OK = 0
FAILED = 1
NO_VERSION = "the index has no version of it"

TRIES = 40
"""Calls of the resolver, each without what the one before said is not there."""


class BootstrapError(Exception):
    """Why nothing could be resolved or installed, a line each."""


def main(arguments: Sequence[str]) -> int:
    """Return 0 when all that was chosen is there, 1 when not, 2 for a wrong command."""
    given = _parser().parse_args(arguments)
    before = look()
    decided = plan(before, listed(DISABLED), listed(CHOSEN) | set(given.contrib))
    dry = given.dry_run or given.action == "requirements"
    errors: list[str] = []
    try:
        decided = carry_out(decided, given.installer, dry_run=dry)
    except BootstrapError as error:
        errors = str(error).splitlines()
    after = before if dry else look()
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


def look() -> dict[str, Package]:
    """Return what is installed for this interpreter; what comes first on its path counts."""
    found: dict[str, Package] = {}
    for one in distributions():
        name = one.metadata["Name"]
        if name:
            found.setdefault(normal(name), Package(one.version, tuple(one.requires or ())))
    return found


def carry_out(decided: Plan, asked: str | None, *, dry_run: bool) -> Plan:
    """Resolve, and install unless it is a dry run; return the plan as it came out.

    Packages of which the index has nothing are skipped. Raises: BootstrapError.
    """
    if not decided.wanted:
        return decided
    installer = installers.choose(
        asked=asked,
        has_pip=find_spec("pip") is not None,
        uv=shutil.which("uv", path=_programs()),
        made_by_uv=_made_by_uv(),
    )
    if installer is None:
        raise BootstrapError(f"there is no {asked or 'pip and no uv'} here to install with")
    for _ in range(TRIES):
        status, output, report = _call(installer, decided, dry_run=dry_run)
        if status == 0:
            return decided.resolved(installer.versions(output, report))
        missing = installers.missing(output, decided.wanted)
        decided = decided.without(missing, NO_VERSION)
        if not missing:
            raise BootstrapError("\n".join(installers.reason(output)))
        if not decided.wanted:
            break
    return decided


def _call(installer: installers.Installer, decided: Plan, *, dry_run: bool) -> tuple[int, str, str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = installers.Files(folder / "wanted", folder / "kept", folder / "report")
        files.requirements.write_text("\n".join(decided.requirements))
        files.constraints.write_text("\n".join(decided.constraints))
        command = installer.command(sys.executable, files, dry_run=dry_run)
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


def _programs() -> str:
    return os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])


def _made_by_uv() -> bool:
    settings = Path(sys.prefix) / "pyvenv.cfg"
    return settings.exists() and "\nuv = " in f"\n{settings.read_text()}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "heliograph bootstrap",
        description="Find what is installed and the instrumentations that fit it. Libraries that"
        " Heliograph instruments itself need none; packages of the program keep their versions.",
    )
    parser.add_argument(
        "-a", "--action", choices=["install", "requirements"], default="requirements",
        help="install them, or print them as lines of a requirements file (the default)",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="resolve, and install nothing")
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
