"""``heliograph collector journal``: what waits on disk, whether it can be read, and sending it.

Looking changes nothing and can be done while a collector runs. Replaying needs the journal for
itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heliograph._core import inspect_journal
from heliograph.errors import ConfigError, HeliographError
from heliograph.otlp import Signal
from heliograph.pipeline.component import Kind
from heliograph.pipeline.config import Config
from heliograph.pipeline.config.model import SIGNAL_NAMES
from heliograph.pipeline.journal import by_signal, problem_of
from heliograph.pipeline.listing import table
from heliograph.pipeline.state import SLOTS, state_directory

_UNITS = {"traces": "spans", "metrics": "data points", "logs": "log records"}


class ToolError(HeliographError):
    """It cannot be done; the text says why."""


@dataclass(frozen=True)
class Waiting:
    """What waits for one reader."""

    name: str
    batches: int
    nbytes: int
    items: Mapping[Signal, int]
    oldest: float | None
    """Unix seconds."""


@dataclass(frozen=True)
class Damage:
    """Where a file cannot be read further, and why."""

    offset: int
    reason: str
    skipped: int
    unfinished: bool
    """It is only a write that was cut off, or is under way; the next start cuts it off."""


@dataclass(frozen=True)
class Segment:
    """One file."""

    name: str
    nbytes: int
    batches: int
    needed: int
    """Bytes that somebody waits for, about."""
    damage: Damage | None


@dataclass(frozen=True)
class Found:
    """A journal as it lies on disk."""

    directory: Path
    used: int
    readers: tuple[Waiting, ...]
    segments: tuple[Segment, ...]
    aside: tuple[tuple[str, int], ...]
    """Damaged files that are kept for people to look at."""

    @property
    def damaged(self) -> bool:
        """Whether something cannot be read that was once written."""
        return any(one.damage and not one.damage.unfinished for one in self.segments)


def directories(config: Config) -> list[Path]:
    """Return where a configuration's collectors have journals."""
    found = []
    if config.journal.directory is not None:
        found.append(config.journal.directory)
    else:
        slots = range(1, SLOTS + 1)
        found += [state_directory(config.sources, slot) / "journal" for slot in slots]
    for spec in config.components.values():
        storage = getattr(spec.config, "journal", None)
        if spec.kind is Kind.EXTENSION and storage is not None:
            found.append(storage.directory)
    return [path for path in found if path.is_dir()]


def inspect(directory: Path) -> Found:
    """Read a journal and all its checksums.

    Raises: ToolError.
    """
    if not directory.is_dir():
        raise ToolError(f"{directory}: there is no journal")
    try:
        raw = inspect_journal(directory)
    except (OSError, ValueError) as error:
        raise ToolError(str(ConfigError([problem_of("", directory, error)]))) from error
    readers = (
        Waiting(name, batches, nbytes, by_signal(items), None if since is None else since / 1e9)
        for name, batches, nbytes, items, since in raw.readers
    )
    segments = (
        Segment(name, nbytes, batches, needed, Damage(*damage) if damage else None)
        for name, nbytes, batches, needed, damage in raw.segments
    )
    return Found(directory, raw.used, tuple(readers), tuple(segments), tuple(raw.aside))


def as_text(found: Found, now: float | None = None) -> str:
    """Return a journal for people."""
    now = time.time() if now is None else now
    lines = [f"{found.directory}: {size(found.used)} in {_count(len(found.segments), 'segment')}\n"]
    waiting = [each for each in found.readers if each.batches]
    rows = [
        (
            each.name,
            _count(each.batches, "batch"),
            items(each.items),
            size(each.nbytes),
            _age(each, now),
        )
        for each in waiting
    ]
    lines.append(table(rows) if rows else "  nothing waits\n")
    rows = [
        (
            each.name,
            _count(each.batches, "batch"),
            size(each.nbytes),
            f"{size(each.needed)} needed",
            _state(each.damage),
        )
        for each in found.segments
    ]
    lines.append(table(rows) if rows else "")
    lines += [f"  {name}  {size(nbytes)}  set aside, damaged\n" for name, nbytes in found.aside]
    return "".join(lines)


def as_json(found: Found) -> dict[str, Any]:
    """Return a journal for programs."""
    return {
        "directory": str(found.directory),
        "used_bytes": found.used,
        "readers": [
            {
                "name": each.name,
                "batches": each.batches,
                "bytes": each.nbytes,
                "items": {SIGNAL_NAMES[signal]: number for signal, number in each.items.items()},
                "oldest": each.oldest,
            }
            for each in found.readers
        ],
        "segments": [
            {**vars(each), "damage": vars(each.damage) if each.damage else None}
            for each in found.segments
        ],
        "set_aside": dict(found.aside),
    }


def verdict(found: Found) -> Iterator[str]:
    """Yield a line for each file, and what to think of it."""
    for each in found.segments:
        held = _count(each.batches, "batch")
        yield f"{found.directory / each.name}: {held}, {_state(each.damage)}"
    for name, nbytes in found.aside:
        yield f"{found.directory / name}: {size(nbytes)}, set aside at an earlier start"
    if not found.segments:
        yield f"{found.directory}: empty"


def items(counts: Mapping[Signal, int]) -> str:
    """Return counts for people."""
    named = {SIGNAL_NAMES[signal]: number for signal, number in counts.items() if number}
    return ", ".join(f"{number} {_UNITS.get(name, name)}" for name, number in named.items()) or "-"


def size(nbytes: float) -> str:
    """Return bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} GiB"


def _state(damage: Damage | None) -> str:
    if damage is None:
        return "sound"
    if damage.unfinished:
        return f"sound up to byte {damage.offset}; {damage.skipped} bytes of an unfinished write"
    return (
        f"DAMAGED: {damage.reason} at byte {damage.offset}; {damage.skipped} bytes are unreadable"
    )


def _age(each: Waiting, now: float) -> str:
    if each.oldest is None:
        return ""
    since = datetime.fromtimestamp(each.oldest, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"oldest {since}, {max(0.0, now - each.oldest):.0f} s ago"


def _count(number: int, word: str) -> str:
    plural = "es" if word.endswith("ch") else "s"
    return f"{number} {word}{'' if number == 1 else plural}"


def choose(found: Iterable[Found], names: Iterable[str]) -> list[tuple[Found, list[str]]]:
    """Return the journals that have something for these readers, and for whom; none: for all.

    Raises: ToolError when somebody is named for whom nothing waits.
    """
    wanted = list(names)
    there = [(each, [reader.name for reader in each.readers if reader.batches]) for each in found]
    known = sorted({name for _, has in there for name in has})
    for name in wanted:
        if name not in known:
            raise ToolError(
                f"nothing waits for '{name}'; there is: {', '.join(known) or 'nothing'}"
            )
    chosen = ((each, [name for name in has if not wanted or name in wanted]) for each, has in there)
    return [(each, has) for each, has in chosen if has]
