"""Whether what is installed is what an instrumentation is for."""

import re
from collections.abc import Iterable

_NAME = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*([^;]*)")
_CLAUSE = re.compile(r"(~=|==|!=|<=|>=|<|>)\s*([0-9][^,\s)]*)")
_NUMBERS = re.compile(r"\d+")


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version's release, without trailing zeros."""
    plain = re.split(r"[a-zA-Z+-]", version.strip().lstrip("v"), maxsplit=1)[0]
    numbers = [int(found) for found in _NUMBERS.findall(plain)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def split(requirement: str) -> tuple[str, str]:
    """Return the package and the versions of a requirement, without extras and markers."""
    found = _NAME.match(requirement)
    assert found is not None, requirement
    return found[1], found[2].strip(" ()")


def fits(versions: str, installed: str) -> bool:
    """Return whether a version is in a specifier such as ``>=1.0, <3``."""
    here = release(installed)
    return all(_holds(sign, wanted, here) for sign, wanted in _CLAUSE.findall(versions))


def _holds(sign: str, wanted: str, here: tuple[int, ...]) -> bool:
    limit = release(wanted.removesuffix(".*"))
    if sign in {"==", "!="}:
        prefix = wanted.endswith(".*")
        return ((here[: len(limit)] if prefix else here) == limit) == (sign == "==")
    if sign == "~=":
        fixed = len(_NUMBERS.findall(wanted)) - 1
        padded = (*here, *[0] * fixed)[:fixed]
        return here >= limit and padded == (*limit, *[0] * fixed)[:fixed]
    return {"<": here < limit, "<=": here <= limit, ">": here > limit, ">=": here >= limit}[sign]


def conflict(requirements: Iterable[str], *, any_of: bool = False) -> str | None:
    """Return why the installed packages do not meet the requirements, or None when they do."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow

    missed = []
    for requirement in requirements:
        name, versions = split(requirement)
        wanted = f"{name} {versions}".strip()
        try:
            installed = version(name)
        except PackageNotFoundError:
            missed.append(f"needs {wanted}, which is not installed")
            continue
        if fits(versions, installed):
            if any_of:
                return None
            continue
        missed.append(f"needs {wanted}, found {installed}")
    if any_of:
        out_of_range = [reason for reason in missed if "found" in reason]
        missed = out_of_range or missed
    return missed[0] if missed else None


def instruments(requires: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what a package instruments by its metadata: all of these, any of those."""
    every: list[str] = []
    some: list[str] = []
    for requirement in requires:
        found = re.search(r"extra\s*==\s*['\"](instruments(?:-any)?)['\"]", requirement)
        if found is not None:
            (some if found[1] == "instruments-any" else every).append(requirement.partition(";")[0])
    return every, some
