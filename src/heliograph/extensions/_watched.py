"""A small file that is read again when it changes."""

import os
from pathlib import Path


class WatchedFile:
    """Text of a file, kept until its inode, size or time of change differs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._text = ""

    def text(self) -> str:
        """Return the content.

        Raises: OSError when it was never readable; later failures keep the last content, since a
            file is missing for a moment while it is being replaced.
        """
        try:
            status = os.stat(self._path)
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen != self._seen:
                self._text = self._path.read_text(encoding="utf-8")
                self._seen = seen
        except OSError:
            if self._seen is None:
                raise
        return self._text
