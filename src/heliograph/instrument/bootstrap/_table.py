"""A plan for people and for programs. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from heliograph.instrument.bootstrap._plan import Plan, Row

SAID = {"ours": "ours", "install": "chosen", "keep": "kept", "skip": "skipped"}


def as_json(decided: Plan, done: Sequence[str], errors: Sequence[str]) -> dict[str, Any]:
    """Return rows, what was changed and what went wrong."""
    return {
        "libraries": [asdict(row) for row in decided.rows],
        "changed": list(done),
        "errors": list(errors),
    }


def table(decided: Plan) -> str:
    """Return a line for each library, and one that counts them."""
    head = ("LIBRARY", "VERSION", "", "INSTRUMENTATION", "")
    lines = [head, *map(_cells, decided.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    counts = [
        f"{count} {word}"
        for decision, word in SAID.items()
        if (count := sum(row.decision == decision for row in decided.rows))
    ]
    return "\n".join([*text, ", ".join(counts) or "nothing was found to instrument"])


def _cells(row: Row) -> tuple[str, ...]:
    name = f"{row.instrumentation} {row.chosen}".strip()
    return (row.library, row.found, SAID[row.decision], name, row.reason)
