"""What to install, from what is installed. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from heliograph.instrument._markers import MarkerError, applies
from heliograph.instrument._versions import fits, split
from heliograph.instrument.bootstrap._catalogue import CATALOGUE, Contrib
from heliograph.instrument.fast import LIBRARIES

Decision = Literal["ours", "install", "keep", "skip"]

STANDARD = "(Python)"
"""The version of what is in the standard library."""


@dataclass(frozen=True)
class Package:
    """An installed package, by its normalised name; what it requires here, as its metadata says.

    The marker of a requirement that is here holds.
    """

    version: str
    requires: tuple[str, ...] = ()


_DISABLED = "disabled by OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"

Installed = Mapping[str, Package]


@dataclass(frozen=True)
class Row:
    """A library that was found, and what becomes of it.

    ``chosen`` is the version of ``instrumentation``, where it is known; ours has none. ``names``
    are those of its entry points.
    """

    library: str
    found: str
    instrumentation: str
    decision: Decision
    reason: str
    chosen: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Rows, and what the one call of the resolver gets."""

    rows: list[Row]
    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> list[str]:
        """The instrumentations that are to be installed."""
        return [row.instrumentation for row in self.rows if row.decision == "install"]

    def without(self, missing: Collection[str], reason: str) -> "Plan":
        """Skip packages that cannot be had."""
        rows = [
            replace(row, decision="skip", reason=reason)
            if row.decision == "install" and row.instrumentation in missing
            else row
            for row in self.rows
        ]
        kept = [line for line in self.requirements if line not in missing]
        return Plan(rows, kept, self.constraints)

    def resolved(self, versions: Mapping[str, str]) -> "Plan":
        """Note the versions that the resolver chose."""
        rows = [
            replace(row, chosen=versions.get(row.instrumentation, row.chosen)) for row in self.rows
        ]
        return Plan(rows, self.requirements, self.constraints)


def normal(name: str) -> str:
    """Return a package's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def package(version: str, requires: Iterable[str], variables: Mapping[str, str]) -> Package:
    """Return a package with those of its requirements whose markers hold.

    Args:
        variables: of markers, where the package is installed.
    """
    return Package(version, tuple(each for each in requires if _applies(each, variables)))


def _applies(requirement: str, variables: Mapping[str, str]) -> bool:
    try:
        return applies(requirement, variables)
    except MarkerError:
        return False


def is_telemetry(name: str) -> bool:
    """Return whether a package is one of OpenTelemetry's, which move together."""
    return name.startswith("opentelemetry-")


def plan(
    installed: Installed,
    disabled: Collection[str] = (),
    contrib: Collection[str] = (),
) -> Plan:
    """Decide on every library that is installed.

    Args:
        disabled: names of instrumentations that are not wanted, or ``*``.
        contrib: names for which contrib's is wanted where ours would do, or ``*``.
    """
    rows = [
        row
        for each in CATALOGUE
        if (row := _decide(each, installed, set(disabled), set(contrib))) is not None
    ]
    rows += _ours_alone(installed, set(disabled))
    # Whatever of OpenTelemetry is there already is resolved anew, so that all of it fits.
    wanted = {row.instrumentation for row in rows if row.decision == "install"}
    there = {name for name in installed if is_telemetry(name)}
    return Plan(
        sorted(rows, key=lambda row: (row.found == STANDARD, row.library.lower())),
        sorted(wanted | there) if wanted else [],
        _constraints(installed),
    )


def _ours_alone(installed: Installed, disabled: set[str]) -> Iterable[Row]:
    """Yield a row for what we instrument and contrib has no package for."""
    for name in LIBRARIES.keys() - {each.suffix for each in CATALOGUE}:
        library = LIBRARIES[name]
        package = installed.get(normal(name))
        if package is None:
            continue
        row = Row(name, package.version, "heliograph", "ours", "built in", names=(name,))
        missed = _missed(library.requires, installed)
        if {name, library.part_of, "*"} & disabled:
            yield replace(row, decision="skip", reason=_DISABLED)
        elif missed is not None:
            yield replace(row, decision="skip", reason=missed)
        else:
            yield row


def _decide(
    each: Contrib,
    installed: Installed,
    disabled: set[str],
    contrib: set[str],
) -> Row | None:
    ours = LIBRARIES.get(each.suffix)
    asked = (*each.libraries, *(ours.requires if ours else ()))
    found = [name for name in asked if normal(split(name)[0]) in installed]
    if each.libraries and not found:
        return None
    library = split(found[0])[0] if found else each.suffix
    version = installed[normal(library)].version if found else STANDARD
    row = Row(library, version, each.package, "install", "", names=each.known_as)
    if "*" in disabled or set(each.known_as) <= disabled:
        return replace(row, decision="skip", reason=_DISABLED)
    if ours and not _missed(ours.requires, installed) and not {each.suffix, "*"} & contrib:
        return replace(row, instrumentation="heliograph", decision="ours", reason="built in")
    missed = _missed(each.libraries, installed)
    if missed is not None:
        return replace(row, decision="skip", reason=missed)
    if each.package in installed:
        there = installed[each.package].version
        return replace(row, decision="keep", reason="is installed", chosen=there)
    return row


def _missed(libraries: tuple[str, ...], installed: Installed) -> str | None:
    """Return why no installed version is in range; None when one is, or nothing is asked for."""
    reasons = []
    for requirement in libraries:
        name, versions = split(requirement)
        package = installed.get(normal(name))
        if package is None:
            continue
        if fits(versions, package.version):
            return None
        reasons.append(f"needs {name} {versions}, found {package.version}")
    return reasons[0] if reasons else None


def _constraints(installed: Installed) -> list[str]:
    """Return lines that keep every package of the program, and what these ask of OpenTelemetry."""
    lines = {
        f"{name}=={package.version}"
        for name, package in installed.items()
        if not is_telemetry(name)
    }
    for name, package in installed.items():
        if not is_telemetry(name):
            for requirement in package.requires:
                asked, versions = split(requirement)
                if is_telemetry(normal(asked)) and versions:
                    lines.add(f"{normal(asked)}{versions.replace(' ', '')}")
    return sorted(lines)


def unmet(installed: Installed) -> set[str]:
    """Return which requirements installed packages do not meet, a line each."""
    return {
        line
        for name, package in installed.items()
        for requirement in package.requires
        if (line := _unmet(name, requirement, installed))
    }


def _unmet(name: str, requirement: str, installed: Installed) -> str | None:
    asked, versions = split(requirement)
    found = installed.get(normal(asked))
    if found is None:
        return f"{name} needs {asked}, which is not installed"
    if not fits(versions, found.version):
        return f"{name} needs {asked} {versions}, found {found.version}"
    return None


def changed(before: Installed, after: Installed) -> Iterable[str]:
    """Yield what an installation did to packages, a line each."""
    for name in sorted(after):
        was = before.get(name)
        if was is None:
            yield f"+ {name} {after[name].version}"
        elif was.version != after[name].version:
            yield f"~ {name} {was.version} -> {after[name].version}"
