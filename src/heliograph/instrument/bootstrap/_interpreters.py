"""The interpreter that is looked at and installed for: the one that runs this, or another one."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.instrument import _survey
from heliograph.instrument.bootstrap._plan import Package, normal, package

_PLACES = ("bin/python", "Scripts/python.exe", "python.exe")
_TIMEOUT = 60.0


class InterpreterError(Exception):
    """Why another interpreter could not be asked."""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter, and what it has installed; of packages twice on its path the first counts.

    Requirements whose marker does not hold there are left out.
    """

    executable: str
    prefix: str
    has_pip: bool
    installed: Mapping[str, Package]

    @property
    def is_of_uv(self) -> bool:
        """Whether uv has made the environment."""
        settings = Path(self.prefix) / "pyvenv.cfg"
        return settings.exists() and "\nuv = " in f"\n{settings.read_text()}"

    @property
    def programs(self) -> str:
        """Where programs are found: the interpreter's own folder first."""
        own = os.path.dirname(self.executable)
        return os.pathsep.join([own, os.environ.get("PATH", os.defpath)])


def look(python: str | None = None) -> Interpreter:
    """Return this interpreter, or that of a path: of an executable or an environment's folder.

    Raises: InterpreterError.
    """
    if python is None:
        return _made(_survey.survey())
    executable = python
    if os.path.isdir(python):
        found = [place for each in _PLACES if os.path.exists(place := os.path.join(python, each))]
        if not found:
            raise InterpreterError(f"there is no Python in {python}")
        executable = found[0]
    return _made(_ask(executable))


def _ask(executable: str) -> dict[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 - what the user named
            [executable, _survey.__file__],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror if isinstance(error, OSError) else "it does not answer"
        raise InterpreterError(f"cannot run {executable}: {why}") from error
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise InterpreterError(f"{executable} is no Python to install for: {last}") from error
    return found


def _made(survey: dict[str, Any]) -> Interpreter:
    installed: dict[str, Package] = {}
    for name, version, requires in survey["packages"]:
        installed.setdefault(normal(name), package(version, requires, survey["variables"]))
    return Interpreter(survey["executable"], survey["prefix"], survey["has_pip"], installed)
