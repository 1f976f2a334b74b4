"""Whether what is installed is what an instrumentation is for."""

import re
from collections.abc import Iterable

_NAME = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*([^;]*)")
_CLAUSE = re.compile(r"(~=|==|!=|<=|>=|<|>)\s*([0-9][^,\s)]*)")
_NUMBERS = re.compile(r"\d+")
_STAGE = re.compile(r"(dev|a|b|rc|post)[a-z]*[._-]?(\d*)")
_EXTRA = re.compile(r"extra\s*==\s*['\"](instruments(?:-any)?)['\"]")
_STAGES = {"dev": -4, "a": -3, "b": -2, "rc": -1, "post": 1}


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version's release, without trailing zeros."""
    plain = re.split(r"[a-zA-Z+-]", version.strip().lstrip("v"), maxsplit=1)[0]
    numbers = [int(found) for found in _NUMBERS.findall(plain)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def stage(version: str) -> tuple[int, ...]:
    """Return what orders versions of one release: alpha, beta, candidate, final, post; a number."""
    found = _STAGE.search(version.lower().partition("+")[0])
    if found is None:
        return (0, 0)
    return (_STAGES[found[1]], int(found[2] or 0))


def split(requirement: str) -> tuple[str, str]:
    """Return the package and the versions of a requirement, without extras and markers."""
    found = _NAME.match(requirement)
    assert found is not None, requirement
    return found[1], found[2].strip(" ()")


def fits(versions: str, installed: str) -> bool:
    """Return whether a version is in a specifier such as ``>=1.0, <3``."""
    return all(_holds(sign, wanted, installed) for sign, wanted in _CLAUSE.findall(versions))


def _holds(sign: str, wanted: str, installed: str) -> bool:
    here, limit = release(installed), release(wanted.removesuffix(".*"))
    if sign in {"==", "!="}:
        prefix = wanted.endswith(".*")
        same = here[: len(limit)] == limit if prefix else here == limit
        return (same and (prefix or stage(installed) == stage(wanted))) == (sign == "==")
    if sign == "~=":
        fixed = len(_NUMBERS.findall(re.split("[a-zA-Z]", wanted, maxsplit=1)[0])) - 1
        padded = (*here, *[0] * fixed)[:fixed]
        return here >= limit and padded == (*limit, *[0] * fixed)[:fixed]
    if sign == "<" and stage(wanted)[0] >= 0:
        return here < limit  # "<2" leaves out what comes before 2 itself, such as 2b1
    one, other = (here, stage(installed)), (limit, stage(wanted))
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[sign]


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
    """Return what a package instruments here by its metadata: all of these, any of those."""
    every: list[str] = []
    some: list[str] = []
    for requirement in requires:
        found = _EXTRA.search(requirement)
        if found is not None and _is_here(requirement, found[1]):
            (some if found[1] == "instruments-any" else every).append(requirement.partition(";")[0])
    return every, some


def _is_here(requirement: str, extra: str) -> bool:
    """Return whether a requirement of an extra is one of this interpreter."""
    if " and " not in requirement and " or " not in requirement:
        return True
    from heliograph.instrument._markers import MarkerError, applies  # noqa: PLC0415 - seldom needed
    from heliograph.instrument._survey import environment  # noqa: PLC0415 - as above

    try:
        return applies(requirement, environment(), extra)
    except MarkerError:
        return True
