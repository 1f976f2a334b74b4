"""`heliograph run`: put Heliograph into a program's environment, and become the program."""

from __future__ import annotations

import os
import sys

from heliograph.instrument._variables import flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

USAGE = 2
NOT_FOUND = 127
ENDINGS = ["", *filter(None, os.environ.get("PATHEXT", "").split(os.pathsep))]
"""What a command's file may have at its end beside the name; Windows has such."""

INJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inject")
DEFAULT_PORTS = {"grpc": 4317, "http/protobuf": 4318, "http/json": 4318}

HELP = """\
usage: heliograph run [--VARIABLE VALUE ...] COMMAND [ARGUMENTS ...]

Run a Python program with traces, metrics and logs, without changing it.

  --service-name NAME                the flag of OTEL_SERVICE_NAME; every OTEL_* variable has one,
  --exporter-otlp-endpoint URL       with - or _, with or without python_
  --replace-sdk                      opentelemetry.sdk is Heliograph's, also where it is installed
  --help
"""


class UsageError(Exception):
    """One line that says what is wrong with the command, and the exit status."""

    def __init__(self, text: str, status: int = USAGE) -> None:
        super().__init__(text)
        self.status = status


def main(arguments: Sequence[str]) -> int:
    """Become the program; return an exit status only when that was not possible."""
    environ = dict(os.environ)
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(HELP)
        return 0
    try:
        variables, command = parse(arguments)
        environ.update(variables)
        executable = find(command[0], environ)
    except UsageError as error:
        print(f"heliograph run: {error}", file=sys.stderr)
        return error.status
    prepare(environ)
    sys.stderr.flush()
    try:
        if sys.platform == "win32":  # what replaces a process there is another one for its parent
            import subprocess  # noqa: PLC0415

            return subprocess.call([executable, *command[1:]], env=environ)  # noqa: S603
        os.execve(executable, list(command), environ)  # noqa: S606 - the user's own command
    except OSError as error:
        print(f"heliograph run: cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        return 126


def parse(
    arguments: Sequence[str], *, command_needed: bool = True
) -> tuple[dict[str, str], list[str]]:
    """Return the variables that flags set, and the command. Raises UsageError."""
    known = flags()
    rest, variables = list(arguments), {}
    while rest and rest[0].startswith("-"):
        given = rest.pop(0)
        if given == "--":
            break
        name, equals, value = given.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if name == "replace_sdk" and not equals:
            variables["HELIOGRAPH_REPLACE_SDK"] = "true"
            continue
        if name not in known or not given.startswith("--"):
            raise UsageError(f"there is no flag {given.partition('=')[0]}{_meant(name, known)}")
        if not equals:
            if not rest:
                raise UsageError(f"{given} needs a value")
            value = rest.pop(0)
        variables[known[name]] = value
    if not rest and command_needed:
        raise UsageError("no command; try: heliograph run python app.py")
    return variables, rest


def _meant(name: str, known: Mapping[str, str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - for a mistake alone

    close = get_close_matches(name, known, n=1)
    return f"; did you mean --{close[0].replace('_', '-')}?" if close else ""


def find(command: str, environ: Mapping[str, str]) -> str:
    """Return the path of an executable. Raises UsageError."""
    path = environ.get("PATH", os.defpath).split(os.pathsep)
    # shutil.which, without every compression that shutil imports
    for place in [""] if os.path.dirname(command) else path:
        for ending in ENDINGS:
            found = os.path.join(place, command + ending)
            if os.path.isfile(found) and os.access(found, os.X_OK):
                return found
    raise UsageError(f"command not found: {command}", NOT_FOUND)


def prepare(environ: dict[str, str]) -> None:
    """Put into an environment what its Python programs need to start with Heliograph."""
    from heliograph.instrument.start import DEFAULTS, QUIET  # noqa: PLC0415 - after mistakes

    environ["OTEL_PYTHON_DISTRO"] = environ["OTEL_PYTHON_CONFIGURATOR"] = "heliograph"
    places = [place for place in environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    environ["PYTHONPATH"] = os.pathsep.join([INJECT, *[p for p in places if p != INJECT]])
    for name, value in DEFAULTS.items():
        environ.setdefault(name, value)
    environ.pop(QUIET, None)
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true" and nowhere_to_send(environ):
        environ[QUIET] = "true"
        print(
            "heliograph: sends nothing: no endpoint is set, and nobody listens on localhost"
            f":{_port(environ)} (set one with --exporter-otlp-endpoint)",
            file=sys.stderr,
        )


def nowhere_to_send(environ: Mapping[str, str]) -> bool:
    """Return whether no destination is named and nobody listens at the default one."""
    named = ("ENDPOINT", "TRACES_ENDPOINT", "METRICS_ENDPOINT", "LOGS_ENDPOINT")
    if any(environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in named):
        return False
    exporters = [f"OTEL_{signal}_EXPORTER" for signal in ("TRACES", "METRICS", "LOGS")]
    if any(environ.get(name) for name in ("OTEL_CONFIG_FILE", *exporters)):
        return False
    return not _listens(_port(environ))


def _port(environ: Mapping[str, str]) -> int:
    return DEFAULT_PORTS.get(environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), 4317)


def _listens(port: int) -> bool:
    """Return whether somebody takes connections at a port of this host, within half a second."""
    import _socket  # noqa: PLC0415 - seldom needed, and a quarter of what `socket` takes

    try:
        # As text the name would import the codec of international names.
        places = _socket.getaddrinfo(b"localhost", port, 0, _socket.SOCK_STREAM)
    except OSError:
        return False
    return any(_takes(family, kind, address) for family, kind, _, _, address in places)


def _takes(family: int, kind: int, address: Any) -> bool:
    import _socket  # noqa: PLC0415 - as above

    client = _socket.socket(family, kind)
    client.settimeout(0.5)
    try:
        client.connect(address)
    except OSError:
        return False
    finally:
        client.close()
    return True
