"""`heliograph doctor [command]`: look, run, ask the endpoint, say."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph.instrument import launcher
from heliograph.instrument._activation import CHOSEN, DISABLED, REPORT, listed
from heliograph.instrument._entries import GROUP, entries
from heliograph.instrument._versions import conflict, instruments
from heliograph.instrument._winner import CONFIGURATOR, DISTRO, NAME, winner
from heliograph.instrument.bootstrap._catalogue import CATALOGUE
from heliograph.instrument.bootstrap._interpreters import look
from heliograph.instrument.bootstrap._plan import plan
from heliograph.instrument.doctor._destinations import Target, targets
from heliograph.instrument.doctor._libraries import Library, merged, observed, predicted
from heliograph.instrument.doctor._probe import probe
from heliograph.instrument.doctor._said import Findings, as_json, as_text
from heliograph.instrument.doctor._verdict import Verdict, judge
from heliograph.instrument.start import is_disabled

OK, FAILED = 0, 1

HELP = """\
usage: heliograph doctor [--json] [--for SECONDS] [--VARIABLE VALUE ...] [COMMAND ...]

Say which libraries are instrumented, which are not and why, and where telemetry would go; test
the endpoint. With a command, run it as `heliograph run` does, and say what became of it.

  --json             for programs; the command's output goes to standard error
  --for SECONDS      end the command after so long; without, it runs to its end or Ctrl-C
  --VARIABLE VALUE   as for heliograph run

Exit status: 0 when all is well, 1 when something is wrong, 2 for a wrong flag.
"""


@dataclass
class Options:
    """What the flags before those of `heliograph run` say."""

    as_json: bool = False
    seconds: float | None = None


def main(arguments: Sequence[str]) -> int:
    """Return 0 when all is well, 1 when something is wrong, 2 for a wrong flag."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(HELP)
        return OK
    try:
        options, rest = _options(list(arguments))
        variables, command = launcher.parse(rest, command_needed=False)
        os.environ.update(variables)
        if command:
            command[0] = launcher.find(command[0], os.environ)
    except launcher.UsageError as error:
        print(f"heliograph doctor: {error}", file=sys.stderr)
        return error.status
    found = Findings(is_disabled(), _libraries(command, options), _tested(), _winners())
    text = json.dumps(as_json(found), indent=2) if options.as_json else as_text(found)
    print(text)
    return OK if found.well else FAILED


def _options(arguments: list[str]) -> tuple[Options, list[str]]:
    found = Options()
    while arguments and arguments[0] in {"--json", "--for"}:
        if arguments.pop(0) == "--json":
            found.as_json = True
            continue
        try:
            found.seconds = float(arguments.pop(0))
        except (IndexError, ValueError):
            raise launcher.UsageError("--for needs a number of seconds") from None
    return found, arguments


def _libraries(command: list[str], options: Options) -> list[Library]:
    decided = plan(look().installed, listed(DISABLED), listed(CHOSEN))
    if command:
        return observed(merged(_run(command, options)), decided)
    packages = {name: each.package for each in CATALOGUE for name in each.known_as}
    reasons = {}
    for entry in entries(GROUP):
        every, some = instruments(entry.requires())
        reason = conflict(every) or (conflict(some, any_of=True) if some else None)
        if reason is not None:
            reasons[packages.get(entry.name, entry.name)] = reason
    return predicted(decided, reasons)


def _run(command: list[str], options: Options) -> list[dict[str, str]]:
    """Run a command as `heliograph run` does; return what its Python programs report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        environ = dict(os.environ)
        launcher.prepare(environ)
        environ[REPORT] = str(report)
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            command, env=environ, stdout=sys.stderr if options.as_json else None
        )
        try:
            process.wait(options.seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait()
        except KeyboardInterrupt:
            process.wait()
        lines = report.read_text().splitlines() if report.exists() else []
        last = {found["pid"]: found["states"] for found in map(json.loads, lines)}
        return list(last.values())


def _tested() -> list[tuple[Target, Verdict | None]]:
    """Ask each endpoint once; there is no verdict on what is not OTLP."""
    verdicts: dict[tuple[str, str], Verdict] = {}
    found: list[tuple[Target, Verdict | None]] = []
    for target in targets():
        key = (target.protocol, target.where)
        if target.protocol and key not in verdicts:
            verdicts[key] = judge(probe(target))
        found.append((target, verdicts.get(key)))
    return found


def _winners() -> dict[str, str | None]:
    named = {DISTRO: "OTEL_PYTHON_DISTRO", CONFIGURATOR: "OTEL_PYTHON_CONFIGURATOR"}
    return {
        group: winner([entry.name for entry in entries(group)] or [NAME], os.environ.get(variable))
        for group, variable in named.items()
    }
