"""Tables of Markdown, and the sections of RESULTS.md that hold them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
HEADING = "# Results\n"
Cells = Sequence[str]


def table(headings: Cells, rows: Sequence[Cells], left: int) -> str:
    """A table whose first so many columns, and whose last, stand to the left."""
    marks = ["---"] * left + ["---:"] * (len(headings) - left - 1) + ["---"]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, marks, *rows))


def recorded(title: str) -> list[list[str]]:
    """The cells that RESULTS.md has under ``## title, …``; none when there is no such section."""
    lines = _section(RESULTS.read_text(encoding="utf-8"), title)[1].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def record(title: str, text: str) -> None:
    """Put a section with today's date at the top of RESULTS.md, in the place of an older one."""
    before, _, after = _section(RESULTS.read_text(encoding="utf-8"), title)
    rest = (before + after).removeprefix(HEADING)
    entry = f"\n## {title}, {datetime.date.today()}\n\n{text}\n"
    RESULTS.write_text(HEADING + entry + rest, encoding="utf-8")


def _section(text: str, title: str) -> tuple[str, str, str]:
    """What stands before a section, the section, and what stands behind it."""
    start = text.find(f"\n## {title}, ")
    if start < 0:
        return text, "", ""
    end = text.find("\n## ", start + 1)
    end = len(text) if end < 0 else end
    return text[:start], text[start:end], text[end:]
