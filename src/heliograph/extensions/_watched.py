"""A small file that is read again when it changes."""

import errno
import logging
import os
import time
from pathlib import Path

from heliograph.pipeline.redaction import redact

GRAIN = 50_000_000
"""Nanoseconds within which two changes may leave the same time on a file."""


class WatchedFile:
    """Text of a file, kept until its device, inode, size or time of change differs.

    The file that counts is the one that the path leads to, whichever link on the way has been
    swapped (as Kubernetes does with secrets).

    Args:
        log: hears once that a file which was readable is not any more.
        secret: whether what is in it must never be written anywhere.
    """

    def __init__(
        self, path: Path, log: logging.Logger | None = None, *, secret: bool = True
    ) -> None:
        self.path = path
        self._log = log
        self._is_secret = secret
        self._seen: tuple[int, ...] | None = None
        self._is_read = False
        self._text = ""
        self._said = ""

    def text(self) -> str:
        """Return the content.

        Raises: OSError when it was never readable; later failures keep the last content, since a
            file is missing for a moment while it is being replaced.
        """
        try:
            status = os.stat(self.path)
            seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if seen != self._seen:
                self._text = self._read()
                if self._is_secret:
                    redact.hide(self._text)
                self._is_read, self._said = True, ""
                is_fresh = 0 <= time.time_ns() - status.st_mtime_ns < GRAIN
                self._seen = None if is_fresh else seen
        except OSError as error:
            if not self._is_read:
                raise
            self._keep(str(error.strerror))
        return self._text

    def _read(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            # Python's own error carries the bytes.
            raise OSError(errno.EILSEQ, "is not UTF-8 text", str(self.path)) from None

    def _keep(self, reason: str) -> None:
        if self._log is not None and reason != self._said:
            self._log.warning("%s: %s; its last content stays in use", self.path, reason)
        self._said = reason
