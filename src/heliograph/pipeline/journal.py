"""The journal for coroutines: batches that wait on disk until an exporter has delivered them.

One journal has a queue for each exporter; a batch that several of them append is on disk once.
What the files look like and what each policy promises stands in docs/formats/journal.md.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from heliograph._core import Journal as NativeJournal
from heliograph._core import JournalOutcome, JournalReader, JournalRecord
from heliograph.errors import ConfigError, HeliographError, Problem
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Edge
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import Telemetry

_SIGNALS = (Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES)


class JournalError(HeliographError):
    """A batch could not be journaled; nothing was kept. ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class JournalFull(JournalError):
    """The journal has no room for the batch."""


class JournalBroken(JournalError):
    """The disk does not take it."""


class JournalLocked(ConfigError):
    """The directory cannot be used because another process does."""


@dataclass(frozen=True)
class JournalSettings:
    """Where a journal is and what it promises."""

    directory: Path
    max_bytes: int
    """Bytes on disk, of all exporters together."""
    fsync: float | None = 0.2
    """Seconds between two syncs; 0 syncs before each answer, None never."""
    when_full: Literal["refuse", "drop_oldest"] = "refuse"


@dataclass(frozen=True)
class Record:
    """A batch from the journal; it is out until ``done`` or ``put_back``."""

    id: int
    batch: Batch
    received_ns: int
    """Unix nanoseconds."""


@dataclass(frozen=True)
class Unclaimed:
    """What waits for an exporter that nobody asked for."""

    name: str
    waiting: int
    items: Mapping[Signal, int]


class Journal:
    """A directory of batches, open for this process alone."""

    def __init__(
        self, native: NativeJournal, settings: JournalSettings, log: logging.Logger
    ) -> None:
        self.directory = settings.directory
        self.settings = settings
        self.recovery = native.recovery
        self._native = native
        self._log = log
        self._queues: dict[str, JournalQueue] = {}
        self._closed: asyncio.Future[None] | None = None

    @classmethod
    def open(
        cls,
        edge: Edge,
        settings: JournalSettings,
        *,
        log: logging.Logger | None = None,
        path: str = "",
    ) -> Journal:
        """Open or make the journal; blocks while what is there is read. Queues belong to the loop.

        Args:
            path: the option that problems name.
        Raises: ConfigError when the directory cannot be used; it says what to do.
        """
        log = log or logging.getLogger("heliograph.journal")
        say = Sparingly(log, time.monotonic)
        try:
            native = NativeJournal(
                edge.events,
                str(settings.directory),
                max_bytes=settings.max_bytes,
                fsync=settings.fsync,
                drop_oldest=settings.when_full == "drop_oldest",
                on_warning=lambda text: say.error(text.rpartition(": ")[2], text),
            )
        except (OSError, ValueError) as error:
            locked = isinstance(error, BlockingIOError) and error.errno is None
            kind = JournalLocked if locked else ConfigError
            raise kind([problem_of(path, settings.directory, error)]) from error
        for note in native.recovery.notes:
            log.error("%s: %s", settings.directory, note)
        return cls(native, settings, log)

    def adjust(self, settings: JournalSettings) -> None:
        """Have other limits from now on; where there is more than they allow, it stays."""
        self.settings = settings
        self._native.adjust(
            max_bytes=settings.max_bytes,
            fsync=settings.fsync,
            drop_oldest=settings.when_full == "drop_oldest",
        )

    @property
    def max_bytes(self) -> int:
        """Bytes that it may take on disk."""
        return self.settings.max_bytes

    @property
    def used(self) -> int:
        """Bytes on disk."""
        return self._native.used

    @property
    def failures(self) -> int:
        """Writes and syncs that failed since the start."""
        return self._native.failed_writes + self._native.failed_syncs

    def measure(self, telemetry: Telemetry, **labels: str) -> None:
        """Let everybody who reads the metrics see how full it is."""
        telemetry.gauge("heliograph_journal_used_bytes", lambda: self.used, **labels)
        telemetry.gauge("heliograph_journal_limit_bytes", lambda: self.max_bytes, **labels)
        telemetry.gauge("heliograph_journal_failures", lambda: self.failures, **labels)

    def queue(self, name: str) -> JournalQueue:
        """Return the queue of an exporter; the same one each time."""
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = JournalQueue(self._native, self._native.reader(name))
        return queue

    def unclaimed(self) -> list[Unclaimed]:
        """Return what waits for exporters that have no queue here; it stays and takes its space."""
        names = sorted(set(self._native.names()) - self._queues.keys())
        found = ((name, *self._native.standing(name)) for name in names)
        return [Unclaimed(name, waiting, by_signal(items)) for name, waiting, items in found]

    async def close(self) -> None:
        """Write what is left and let go of the directory; safe twice. What is out comes again."""
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_future()
            self._native.close(partial(_settle, self._closed))
        await asyncio.shield(self._closed)


class JournalQueue:
    """What waits for one exporter."""

    def __init__(self, native: NativeJournal, reader: JournalReader) -> None:
        self._loop = asyncio.get_running_loop()
        self._native = native
        self._reader = reader
        self._found = self.waiting_items
        self.wakes: list[Callable[[], None]] = []
        """Called when something waits that did not before."""

    def restored(self) -> Mapping[Signal, int]:
        """Return the items that an earlier process left; nothing when asked again."""
        found, self._found = self._found, {}
        return found

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def waiting(self) -> int:
        """Records that nobody has taken."""
        return self._reader.waiting

    @property
    def waiting_bytes(self) -> int:
        """Their bytes, as batches."""
        return self._reader.waiting_bytes

    @property
    def waiting_items(self) -> dict[Signal, int]:
        """Their items."""
        return by_signal(self._reader.waiting_items)

    @property
    def out(self) -> int:
        """Records that are taken or held, and neither done nor put back."""
        return self._reader.out

    @property
    def oldest(self) -> float | None:
        """When the oldest that waits was journaled, in unix seconds."""
        oldest = self._reader.oldest_ns
        return None if oldest is None else oldest / 1e9

    @property
    def dropped_items(self) -> dict[Signal, int]:
        """Items given up since the start because the journal was full."""
        return by_signal(self._reader.dropped_items)

    @property
    def lost_items(self) -> dict[Signal, int]:
        """Items that could not be read any more since the start."""
        return by_signal(self._reader.lost_items)

    async def append(self, batch: Batch, *, pack: bool = False, hold: bool = False) -> int:
        """Return the record's id when the batch is as durable as the policy promises.

        When cancelled, a held record is done; another one stays and will be taken.

        Args:
            pack: compress it; pays when it stays for a while.
            hold: it is out from the start.
        Raises: JournalFull or JournalBroken; nothing was kept.
        """
        future: asyncio.Future[JournalOutcome] = self._loop.create_future()
        settle = partial(self._appended, future, hold)
        self._native.append(batch, self._reader, settle, pack=pack, hold=hold)
        try:
            outcome = await future
        except asyncio.CancelledError:
            if hold and not future.cancelled() and (id := future.result().id) is not None:
                self.done(id)  # it came in the moment of the cancellation
            raise
        if outcome.id is None:
            raise (JournalFull if outcome.full else JournalBroken)(outcome.error)
        return outcome.id

    async def take(self) -> Record | None:
        """Return the oldest record that waits, None when nothing does."""
        future: asyncio.Future[JournalRecord | None] = self._loop.create_future()
        self._reader.take(partial(self._taken, future))
        try:
            record = await future
        except asyncio.CancelledError:
            if not future.cancelled() and (record := future.result()) is not None:
                self.put_back(record.id)  # it came in the moment of the cancellation
            raise
        if record is None:
            return None
        return Record(record.id, record.batch, record.received_ns)

    def done(self, id: int) -> None:
        """Say that a record that is out is delivered, or will never be."""
        self._reader.done(id)

    def put_back(self, id: int) -> None:
        """Let a record that is out wait again."""
        self._reader.put_back(id)
        self._wake()

    def _wake(self) -> None:
        for wake in self.wakes:
            wake()

    def _appended(
        self, future: asyncio.Future[JournalOutcome], hold: bool, outcome: JournalOutcome
    ) -> None:
        if outcome.id is not None and not hold:
            self._wake()
        if not future.done():
            future.set_result(outcome)
        elif outcome.id is not None and hold:
            self.done(outcome.id)

    def _taken(
        self, future: asyncio.Future[JournalRecord | None], record: JournalRecord | None
    ) -> None:
        if not future.done():
            future.set_result(record)
        elif record is not None:
            self.put_back(record.id)


def _settle(future: asyncio.Future[Any], payload: Any) -> None:
    if not future.done():
        future.set_result(payload)


def by_signal(items: tuple[int, int, int, int]) -> dict[Signal, int]:
    """Return counts as the core has them, by signal."""
    return dict(zip(_SIGNALS, items, strict=True))


def problem_of(path: str, directory: Path, error: OSError | ValueError) -> Problem:
    """Return why a directory cannot be used, and what to do."""
    if isinstance(error, ValueError):
        message, _, fix = str(error).partition("; ")
        return Problem(path, message, fix=fix or None)
    if isinstance(error, BlockingIOError) and error.errno is None:
        message, _, fix = str(error).partition("; ")
        return Problem(path, message, fix=fix)
    fix = "name a directory that this user may write, or make that one"
    if error.errno == errno.ENOSPC:
        fix = "make room on the disk"
    where = error.filename or directory
    return Problem(path, f"cannot be used: {where}: {error.strerror or error}", fix=fix)
