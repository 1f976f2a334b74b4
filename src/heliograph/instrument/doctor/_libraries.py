"""Which libraries are instrumented, which are not and why. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from heliograph.instrument.bootstrap._plan import STANDARD, Plan

WAITING = "its library is not imported"
BOOTSTRAP = "no instrumentation is installed for it: heliograph bootstrap -a install"


@dataclass(frozen=True)
class Library:
    """An instrumentation's library, whether it is instrumented, by what, and why not.

    ``instrumented`` is None for what waits for an import.
    """

    name: str
    found: str
    instrumented: bool | None
    text: str


def merged(reports: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the state of each instrumentation in whichever process came furthest."""
    found: dict[str, str] = {}
    for states in reports:
        for name, state in states.items():
            if name not in found or _rank(state) > _rank(found[name]):
                found[name] = state
    return found


def _rank(state: str) -> int:
    return 2 if state.startswith("instrumented") else 0 if state == WAITING else 1


def predicted(decided: Plan, out_of_range: Mapping[str, str]) -> list[Library]:
    """Return what would become of the libraries that are installed.

    Args:
        out_of_range: why an installed package of contrib's would not be used, by package.
    """
    found = []
    for row in decided.rows:
        if row.decision == "ours":
            what: tuple[bool | None, str] = (None, "by Heliograph, when it is imported")
        elif row.decision == "keep" and row.instrumentation not in out_of_range:
            what = (None, f"by contrib's {row.chosen}, when it is imported")
        elif row.decision == "keep":
            what = (False, out_of_range[row.instrumentation])
        else:
            what = (False, row.reason or BOOTSTRAP)
        if row.found != STANDARD or row.decision != "install":
            found.append(Library(row.library, row.found, *what))
    return found


def observed(states: Mapping[str, str], decided: Plan) -> list[Library]:
    """Return what became of the libraries in a program that ran."""
    found = []
    rows = {name: row for row in decided.rows for name in row.names}
    for name, state in sorted(states.items()):
        row = rows.get(name)
        if row is not None or state != WAITING:
            done = True if state.startswith("instrumented") else None if state == WAITING else False
            found.append(Library(name, row.found if row else "", done, state))
    for row in decided.rows:
        if not states.keys() & row.names and row.decision != "keep" and row.found != STANDARD:
            found.append(Library(row.library, row.found, False, row.reason or BOOTSTRAP))
    return found
