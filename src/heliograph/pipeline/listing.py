"""What there is: the components and the feature gates, as tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from heliograph.pipeline.component import Kind
from heliograph.pipeline.config.gates import GATES
from heliograph.pipeline.config.model import SIGNALS
from heliograph.pipeline.registry import ALIASES, Registry, first_line, modules, stability


def components(registry: Registry) -> list[dict[str, Any]]:
    """Return one row a component: kind, type, aliases, signals, stability, doc."""
    rows = []
    for kind, name, module in modules(registry):
        signals = getattr(getattr(module, kind.class_name), "signals", ())
        rows.append(
            {
                "kind": kind.value,
                "type": name,
                "aliases": [a for (k, a), type in ALIASES.items() if k is kind and type == name],
                "signals": [name for name, signal in SIGNALS.items() if signal in signals],
                "stability": stability(module),
                "doc": first_line(module),
            }
        )
    return rows


def component_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows for people, a section a kind."""
    rows = list(rows)
    parts = []
    for kind in Kind:
        cells = [
            (
                ", ".join([row["type"], *row["aliases"]]),
                ", ".join(row["signals"]) or "-",
                row["stability"],
                row["doc"],
            )
            for row in rows
            if row["kind"] == kind
        ]
        if cells:
            parts.append(f"{kind}\n{table(cells)}")
    return "\n".join(parts)


def gate_table(id: str | None = None) -> str | None:
    """Return the feature gates, or one of them; None when there is no such gate."""
    gates = [gate for gate in GATES.values() if id in (None, gate.id)]
    cells = [(g.id, "on" if g.enabled else "off", g.stage, g.description) for g in gates]
    return table(cells) if cells else None


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows with aligned columns, indented by two."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "".join(f"  {line}\n" for line in lines)
