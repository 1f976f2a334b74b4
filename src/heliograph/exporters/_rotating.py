"""A file that is renamed when it has grown enough, its backups named as lumberjack names them.

::

    data.json                                what is being written
    data-2026-11-23T14-28-44.173.json        what was renamed at that time (UTC or local)
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_DAY = 86_400
_RENAMES_OPEN = os.name != "nt"
_BINARY = getattr(os, "O_BINARY", 0)
"""Where there is such a thing, a line end would be written as two bytes without it."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}")


@dataclass(frozen=True)
class Rotation:
    """When a file is renamed, and which of the renamed ones are kept."""

    max_bytes: int
    max_age: float | None
    """Seconds that a backup is kept; for ever when None."""
    max_backups: int | None
    """Backups that are kept; all when None."""
    local: bool
    """Names carry local time."""


class RotatingFile:
    """Appends whole messages. Not for several threads at once.

    Args:
        append: keep what the file has; always so where it rotates.
        now_ns: nanoseconds since the epoch.
    Raises: OSError as `open` does.
    """

    def __init__(
        self, path: Path, rotation: Rotation | None, *, append: bool, now_ns: Callable[[], int]
    ) -> None:
        self._path = path
        self._rotation = rotation
        self._now_ns = now_ns
        flags = 0 if append or rotation else os.O_TRUNC
        self._file = _open(path, flags)
        self._size = os.fstat(self._file).st_size

    def write(self, message: bytes) -> None:
        """Hand a message to the operating system: all of it, or none and an OSError."""
        limit = self._rotation.max_bytes if self._rotation else None
        if limit is not None and self._size and self._size + len(message) > limit:
            self._rotate()
        rest = memoryview(message)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):  # a pipe takes nothing back
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(message)

    def close(self) -> None:
        """Close; twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _rotate(self) -> None:
        now = self._now_ns()
        while (backup := self._backup(now)).exists():
            now += 1_000_000
        self._exchange(backup)
        self._size = 0
        for old in list(self._expired(now)):
            old.unlink(missing_ok=True)

    def _exchange(self, backup: Path) -> None:
        """Rename the file, and go on in a new one."""
        if not _RENAMES_OPEN:
            self.close()
            try:
                os.rename(self._path, backup)
            finally:
                self._file = _open(self._path, 0)
            return
        os.rename(self._path, backup)
        fresh = _open(self._path, os.O_TRUNC)
        os.close(self._file)
        self._file = fresh

    def _backup(self, now_ns: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{self._stamp(now_ns)}{self._path.suffix}")

    def _stamp(self, now_ns: int) -> str:
        seconds, fraction = divmod(now_ns, 1_000_000_000)
        local = self._rotation is not None and self._rotation.local
        when = time.localtime(seconds) if local else time.gmtime(seconds)
        return f"{time.strftime('%Y-%m-%dT%H-%M-%S', when)}.{fraction // 1_000_000:03d}"

    def _expired(self, now_ns: int) -> Iterator[Path]:
        if self._rotation is None:
            return
        before = ""
        if self._rotation.max_age is not None:
            before = self._stamp(now_ns - int(self._rotation.max_age * 1e9))
        for newer, (stamp, backup) in enumerate(sorted(self._backups(), reverse=True)):
            too_many = (
                self._rotation.max_backups is not None and newer >= self._rotation.max_backups
            )
            if too_many or stamp < before:
                yield backup

    def _backups(self) -> Iterator[tuple[str, Path]]:
        prefix, suffix = f"{self._path.stem}-", self._path.suffix
        for entry in self._path.parent.iterdir():
            name = entry.name
            if name.startswith(prefix) and name.endswith(suffix):
                stamp = name[len(prefix) : len(name) - len(suffix)]
                if _STAMP.fullmatch(stamp):
                    yield stamp, entry


def days(count: int) -> float | None:
    """Seconds of so many days; None for 0, which is no limit."""
    return count * _DAY if count else None


def _open(path: Path, flags: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY | flags, 0o644)
