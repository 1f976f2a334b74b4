"""Notices that files have changed, by looking at them; editors and Kubernetes replace whole files.

A change counts once two looks in a row find the same, so that half a file is never read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

EVERY = 1.0
"""Seconds between two looks,"""
SETTLE = 0.2
"""and between the first sight of a change and the next look."""

Stamp = tuple[int, int, int, int] | None
"""Device, inode, size and nanoseconds of change; None where there is no file."""


def stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """Look at files, behind their links."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class Core:
    """Decides what is a change; looks come in."""

    def __init__(self, seen: Mapping[Path, Stamp]) -> None:
        self._known = self._last = dict(seen)

    def observe(self, seen: Mapping[Path, Stamp]) -> bool:
        """Take a look; return True when something has changed and does not change any more.

        A file that is looked at for the first time is as it was meant to be.
        """
        known = {path: self._known.get(path, stamp) for path, stamp in seen.items()}
        settled = seen == self._last
        self._last = dict(seen)
        self._known = dict(seen) if settled else known
        return settled and seen != known

    @property
    def moving(self) -> bool:
        """Whether something has changed since the last time that it was said."""
        return self._last != self._known


async def watch(
    files: Callable[[], Iterable[Path]], changed: Callable[[], Awaitable[None]]
) -> None:
    """Call ``changed`` after each change, for ever."""
    core = Core(stamps(files()))
    while True:
        await asyncio.sleep(SETTLE if core.moving else EVERY)
        if core.observe(await asyncio.to_thread(stamps, list(files()))):
            await changed()
