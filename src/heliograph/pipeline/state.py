"""Where a collector keeps what outlives it: its control socket, its journal.

::

    $HELIOGRAPH_STATE_DIR, $XDG_STATE_HOME/heliograph or ~/.local/state/heliograph
    └── collector-1f0c2a7b        one a configuration; -2 to -8 for more collectors with it
        ├── lock                  locked while a collector runs
        └── control.sock
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph.pipeline import system
from heliograph.pipeline.config.sources import split

SLOTS = 8
"""Collectors that may run with the same configuration on one machine."""

CONTROL = "control.sock"


def state_directory(sources: Sequence[str], slot: int = 1) -> Path:
    """Return the directory of a configuration's collector, which need not exist.

    Raises: OSError when nothing says where.
    """
    named = [_absolute(source) for source in sources]
    digest = hashlib.sha256("\0".join(named).encode()).hexdigest()[:8]
    suffix = "" if slot == 1 else f"-{slot}"
    return _base() / f"collector-{digest}{suffix}"


def control_sockets(sources: Sequence[str]) -> Iterator[Path]:
    """Yield where the control sockets of a configuration's collectors would be."""
    for slot in range(1, SLOTS + 1):
        yield state_directory(sources, slot) / CONTROL


@dataclass(frozen=True)
class StateDirectory:
    """A directory that no other collector uses, until it is released or the process ends."""

    path: Path
    lock: int

    def release(self) -> None:
        """Let the next collector have it."""
        os.close(self.lock)


def claim(sources: Sequence[str]) -> StateDirectory:
    """Take the first directory of this configuration that no running collector has.

    Raises: OSError when it cannot be written, or all are taken.
    """
    for slot in range(1, SLOTS + 1):
        path = state_directory(sources, slot)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            taken = system.lock(lock)
        except OSError:
            os.close(lock)
            raise
        if taken:
            return StateDirectory(path, lock)
        os.close(lock)
    raise OSError(f"{SLOTS} collectors run with this configuration already")


def _base() -> Path:
    if chosen := os.environ.get("HELIOGRAPH_STATE_DIR"):
        return Path(chosen).absolute()
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state).absolute() / "heliograph"
    try:
        return Path.home() / ".local" / "state" / "heliograph"
    except RuntimeError:
        raise OSError("there is no home directory; set HELIOGRAPH_STATE_DIR") from None


def _absolute(source: str) -> str:
    scheme, rest = split(source) or ("file", source)
    return os.path.abspath(rest) if scheme == "file" else source
