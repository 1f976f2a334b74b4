"""The status as a table for terminals."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from heliograph.pipeline.logs import visible
from heliograph.pipeline.status import rates

_COLUMNS = ("in", "out", "back", "removed")
_IN = ("received", "incoming", "consumed")
_OUT = ("accepted", "outgoing", "sent", "produced")
_BACK = ("refused", "returned")
_CLEAR = "\x1b[H\x1b[2J"
_ERRORS = 5
"""So many of the last warnings and errors are shown."""


def render(
    status: Mapping[str, Any], moving: Mapping[str, Any] | None = None, width: int = 100
) -> str:
    """Return the table; with rates (``moving``) numbers are items a second, otherwise totals."""
    lines = [*_head(status, live=moving is not None), ""]
    shown = status if moving is None else moving
    for pipeline, counted in zip(status["pipelines"], shown["pipelines"], strict=True):
        lines += [*_pipeline(pipeline, counted), ""]
    lines += [*_exporters(status["exporters"], shown["exporters"]), ""]
    lines += _notes(status)
    return "".join(f"{line[:width].rstrip()}\n" for line in lines).rstrip("\n") + "\n"


def follow(
    read: Callable[[], Mapping[str, Any]], *, write: Callable[[str], object], every: float = 1.0
) -> None:
    """Show rates until interrupted, each time in place of what was shown before."""
    before = read()
    write(f"{_CLEAR}{render(before, width=_width())}")
    while True:
        time.sleep(every)
        after = read()
        write(f"{_CLEAR}{render(after, rates(before, after), _width())}")
        before = after


def _width() -> int:
    return shutil.get_terminal_size((100, 40)).columns


def _head(status: Mapping[str, Any], *, live: bool) -> Iterator[str]:
    process, admission = status["process"], status["admission"]
    uptime, limit = process["uptime"], admission["limit"]
    parts = [
        f"heliograph {process['version']}",
        process["state"],
        f"pid {process['pid']}",
        f"up {seconds(uptime)}" if uptime is not None else "",
        f"{size(process['rss'])} resident",
        f"{size(admission['used'] or 0)} of telemetry"
        + (f" (limit {size(limit)})" if limit else ""),
    ]
    journal = status["journal"]
    if journal is not None:
        parts.append(f"journal {size(journal['used'])} of {size(journal['limit'] or 0)}")
    yield " · ".join(filter(None, parts))
    if process["config"]:
        yield f"configuration: {', '.join(process['config'])}"
    yield "items a second" if live else "items since the start"


def _pipeline(pipeline: Mapping[str, Any], counted: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for step, values in zip(pipeline["steps"], counted["steps"], strict=True):
        counts, removed = values["counts"], values.get("removed", {})
        gone = _some(counts, ("failed",)) or 0
        gone += sum(value for reason, value in removed.items())
        arrow = {"receiver": "▶", "processor": "│", "connector": "↳", "exporter": "▷"}
        rows.append(
            [
                f"  {arrow[step['kind']]} {step['id']}",
                *(number(_some(counts, names)) for names in (_IN, _OUT, _BACK)),
                number(gone) if gone or removed else "",
                ", ".join(f"{reason} {number(value)}" for reason, value in removed.items() if value)
                + (f"  created {number(counts['created'])}" if counts.get("created") else ""),
            ]
        )
    yield from _table([pipeline["id"], *_COLUMNS, ""], rows)


def _exporters(exporters: Sequence[Any], counted: Sequence[Any]) -> Iterator[str]:
    rows = []
    notes = []
    for exporter, values in zip(exporters, counted, strict=True):
        dropped = {reason: value for reason, value in values["dropped"].items() if value}
        queue, oldest = exporter["queue"], exporter["oldest"]
        rows.append(
            [
                f"  {exporter['id']}",
                number(values["counts"]["sent"]),
                number(exporter["in_flight"]),
                "" if queue is None or queue["fill"] is None else f"{queue['fill']:.0%}",
                number(exporter["waiting"]),
                seconds(oldest) if oldest else "",
                ", ".join(f"{reason} {number(value)}" for reason, value in dropped.items()),
            ]
        )
        failing = exporter["failing"]
        if failing is not None:
            since, attempts = seconds(failing["seconds"]), failing["attempts"]
            what = f"fails since {since} ({attempts} attempts): {failing['reason']}"
            notes.append(visible(f"  {exporter['id']} {what}"))
    head = ["exporters", "sent", "in flight", "queue", "waiting", "oldest", "dropped"]
    yield from _table(head, rows)
    yield from notes


def _notes(status: Mapping[str, Any]) -> Iterator[str]:
    for what, counts in (
        ("turned away at the door, in requests", status["turned_away"]),
        ("errors in components", status["component_errors"]),
        ("held the event loop", status["loop_held"]),
    ):
        if counts:
            listed = ", ".join(f"{name} {number(value)}" for name, value in counts.items())
            yield f"{what}: {listed}"
    errors = status["errors"][-_ERRORS:]
    if errors:
        yield "last warnings and errors"
    for mishap in errors:
        at = time.strftime("%H:%M:%S", time.localtime(mishap["time"]))
        who = f"{mishap['component']}: " if mishap["component"] else ""
        message = mishap["message"].splitlines()[0] if mishap["message"] else ""
        yield visible(f"  {at} {mishap['level']:<5} {who}{message}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield lines; the first column and the last are to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    widths[0] = max(widths[0], 24)
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [
            cell.rjust(max(width, 9)) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)
        ]
        yield "  ".join([*cells, row[-1]])


def _some(counts: Mapping[str, float], names: Sequence[str]) -> float | None:
    """Return the first of several counts that there is."""
    return next((counts[name] for name in names if name in counts), None)


def number(value: float | None) -> str:
    """Return a number as people read it: ``1 234 567``, below 10 with a fraction if it has one."""
    if value is None:
        return ""
    if value != int(value) and value < 10:
        return f"{value:.1f}"
    return f"{round(value):,}".replace(",", " ")


def size(value: float) -> str:
    """Return bytes in the unit that fits."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def seconds(value: float) -> str:
    """Return a time in the two units that fit."""
    whole = round(value)
    if value < 10:
        return f"{value:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
