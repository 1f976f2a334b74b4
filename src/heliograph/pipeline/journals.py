"""Journals that components share: whoever names a directory that is open here already gets the
journal that is open.

On a reload a storage that leaves and the one that takes over are open side by side for a moment,
and so are the exporters that use them; they work on the same queues, and nothing has to stop first.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

from heliograph.pipeline.component import Edge
from heliograph.pipeline.journal import Journal, JournalLocked, JournalSettings

_AGAIN = 0.05
"""Seconds between two looks at a lock that another process has."""


@dataclass(eq=False)
class Share:
    """One user's part in a journal, until it leaves."""

    journal: Journal
    settings: JournalSettings
    _among: _Open

    async def leave(self) -> None:
        """Close the journal, unless others use it; what they want counts then. Safe twice."""
        async with self._among.lock:
            shares = self._among.shares
            if self not in shares:
                return
            shares.remove(self)
            if shares:
                self.journal.adjust(shares[-1].settings)
            else:
                await self.journal.close()


@dataclass(eq=False)
class _Open:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    shares: list[Share] = field(default_factory=list)


_OPEN: WeakKeyDictionary[Edge, dict[Path, _Open]] = WeakKeyDictionary()


async def share(
    edge: Edge, settings: JournalSettings, *, log: logging.Logger, path: str, patience: float
) -> Share:
    """Open a journal, or join those who use it here; the settings that came last count.

    Args:
        path: the option that problems name.
        patience: seconds to wait for another process to let go of the directory.
    Raises: ConfigError when the directory cannot be used.
    """
    among = _OPEN.setdefault(edge, {}).setdefault(_place(settings), _Open())
    async with among.lock:
        if among.shares:
            journal = among.shares[-1].journal
            journal.adjust(settings)
        else:
            journal = await _opened(edge, settings, log, path, patience)
        joined = Share(journal, settings, among)
        among.shares.append(joined)
    return joined


def _place(settings: JournalSettings) -> Path:
    return Path(os.path.realpath(settings.directory))


async def _opened(
    edge: Edge, settings: JournalSettings, log: logging.Logger, path: str, patience: float
) -> Journal:
    """Open a journal without holding the loop while it is read."""
    end = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await asyncio.to_thread(Journal.open, edge, settings, log=log, path=path)
        except JournalLocked:
            if asyncio.get_running_loop().time() >= end:
                raise
            await asyncio.sleep(_AGAIN)
