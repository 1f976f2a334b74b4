"""Writes batches as lines of OTLP/JSON.

Spec: OTLP File Exporter.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import IO

from heliograph._core import Batch, fork_generation
from heliograph.sdk._self_metrics import EXPORT, UNOBSERVED
from heliograph.sdk.exporter.otlp._sender import SHUT_DOWN

_log = logging.getLogger("heliograph.sdk.exporter")


class Lines:
    """A file, or a stream of text; each batch is one line of it.

    A line goes into a file whole or not at all to readers of whole lines, also where several
    processes append to it.

    Raises: ValueError when there are both a path and a stream; OSError when the file cannot be
        opened.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, stream: IO[str] | None = None
    ) -> None:
        if path is not None and stream is not None:
            raise ValueError("there are a path and a stream; give one of them")
        self._path = path
        # Open as long as this exporter is.
        self._file = None if path is None else open(path, "ab", buffering=0)  # noqa: SIM115
        self._stream = sys.stdout if stream is None else stream
        self._generation = fork_generation()
        self._lock = threading.Lock()
        self._closed = False
        self._said = False
        self.exported = self.rejected = self.failed = self.inflight = 0
        self.failures: Counter[str] = Counter()
        self.own = UNOBSERVED
        self.trouble = ""

    def send(self, batch: Batch, timeout: float | None = None) -> bool:
        """Write a line; return whether that worked."""
        if self._generation != fork_generation():
            self._generation = fork_generation()
            self._lock = threading.Lock()
            self.exported = self.rejected = self.failed = 0
            self.failures.clear()
        if not batch.items and not self._closed:
            return True
        began = time.monotonic()
        error = self._put(batch)
        if self.own.is_observed:
            more = {"error.type": error} if error else {}
            self.own.took(EXPORT, time.monotonic() - began, more)
        return not error

    def _put(self, batch: Batch) -> str:
        """Write a line; return an ``error.type`` if that did not work."""
        if self._closed:
            return self._failed(batch, SHUT_DOWN, "shutdown")
        try:
            line = batch.json() + b"\n"
            with self._lock:
                self._write(line)
        except Exception as error:
            return self._failed(batch, str(error), type(error).__qualname__)
        self._said = False
        self.exported += batch.items
        return ""

    def send_all(self, batches: Iterator[Batch], timeout: float | None = None) -> Iterator[bool]:
        """Write a line for each batch; yield whether that worked."""
        return (self.send(batch) for batch in batches)

    def _write(self, line: bytes) -> None:
        if self._file is None:
            self._stream.write(line.decode())
            self._stream.flush()
            return
        while line:
            line = line[self._file.write(line) :]

    def _failed(self, batch: Batch, reason: str, kind: str) -> str:
        self.failed += batch.items
        self.failures[kind] += batch.items
        self.trouble = f"{self._path or 'a stream'}: {reason}"
        if not self._said:
            self._said = True
            where = self._path or "a stream"
            _log.error("%d items could not be written to %s: %s", batch.items, where, reason)
        return kind

    def close(self) -> None:
        """Close the file; a stream stays open."""
        self._closed = True
        if self._file is not None:
            with self._lock:
                self._file.close()
