"""Write telemetry to files.

YAML: ``exporters: file``, any signal (profiles as proto only). Fields: `Config`. JSON is one
request a line; proto, and whatever is compressed, is a sequence of messages, each behind its length
in four bytes, big-endian, and compressed alone. With ``rotation`` a full file is renamed and a new
one begun. With ``group_by`` the value of a resource attribute takes the place of ``*`` in the path;
what lacks the attribute is dropped and counted. A batch is acknowledged when the operating system
has all of it; a write that fails leaves nothing in that file (with ``group_by`` the other files may
have their part, and get it again when the sender tries again).
Source: the Collector's fileexporter.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Literal

from heliograph._core import compress
from heliograph.errors import ConfigError, Problem, Reject, Retry, WireError
from heliograph.exporters._rotating import RotatingFile, Rotation, days
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.fields import Duration, Field

MIB = 1 << 20


class RotationConfig(ComponentConfig):
    """``rotation``: when a file is renamed, and which of the renamed ones are kept."""

    max_megabytes: int = Field(
        100,
        ge=1,
        description="Size that a file does not exceed, but for one larger message.",
        unit="MiB",
    )
    max_days: int = Field(
        0, ge=0, description="Days that a renamed file is kept; 0 for no limit.", unit="days"
    )
    max_backups: int = Field(100, ge=0, description="Renamed files that are kept; 0 for no limit.")
    localtime: bool = Field(
        False, description="Put local time into the names of renamed files; UTC otherwise."
    )


class GroupBy(ComponentConfig):
    """``group_by``: a file for each value of a resource attribute."""

    enabled: bool = Field(False, description="Write several files.")
    resource_attribute: str = Field(
        "fileexporter.path_segment", description="Attribute that takes the place of * in the path."
    )
    max_open_files: int = Field(100, ge=1, description="Files that are open at a time.")


class Config(ComponentConfig):
    path: str = Field(description="The file; with group_by one * stands for the attribute.")
    format: Literal["json", "proto"] = Field("json", description="json or proto.")
    compression: Literal["", "zstd"] = Field("", description="zstd, or nothing.")
    rotation: RotationConfig | None = Field(
        None, description="Rename the file when it is full; never when not given."
    )
    flush_interval: Duration = Field(
        "1s", ge=0, description="Accepted for compatibility: every batch is written at once."
    )
    append: bool = Field(False, description="Keep what the file has, instead of emptying it.")
    group_by: GroupBy = Field(GroupBy(), description="Write a file for each value of an attribute.")

    def check(self) -> Iterator[Problem]:
        if not self.path:
            yield Problem("path", "is empty", fix="name a file")
        if self.append and self.compression:
            yield Problem("append", "is not possible together with compression")
        if self.append and self.rotation:
            yield Problem("append", "is not possible together with rotation", fix="remove it")
        if not self.group_by.enabled:
            return
        if self.path.count("*") != 1:
            yield Problem("path", "needs exactly one * while group_by is enabled")
        elif self.path.startswith("*"):
            yield Problem("path", "must not begin with *", fix=f"write ./{self.path}")
        if not self.group_by.resource_attribute:
            yield Problem("group_by.resource_attribute", "is empty")


def encoder(config: Config) -> Callable[[Batch], bytes]:
    """Return what turns a batch into the bytes that stand in the file."""
    read: Callable[[Batch], bytes] = (
        Batch.json if config.format == "json" else lambda batch: bytes(batch.wire())
    )
    if config.compression:
        return lambda batch: _framed(compress(read(batch), config.compression))
    if config.format == "proto":
        return lambda batch: _framed(read(batch))
    return lambda batch: read(batch) + b"\n"


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def place(pattern: str, segment: str) -> Path:
    """Put a segment where the * is; never outside of what stands before the *."""
    before, _, after = pattern.partition("*")
    prefix = os.path.normpath(before) + ("/" if before.endswith("/") else "")
    segment = segment.replace("\0", "_")
    if segment.startswith(("./", "../")):
        segment = segment.lstrip(".")
    path = os.path.normpath(prefix + segment + after)
    if not path.startswith(prefix):
        path = os.path.normpath(f"{prefix}/{os.path.normpath(f'/{segment}{after}')}")
    return Path(path)


class Files:
    """The files that are open; the one unused for longest is closed when there are too many."""

    def __init__(self, config: Config, now_ns: Callable[[], int]) -> None:
        self._append = config.append
        self._now_ns = now_ns
        self._limit = config.group_by.max_open_files
        self._files: OrderedDict[Path, RotatingFile] = OrderedDict()
        self._begun: set[Path] = set()
        self._rotation: Rotation | None = None
        if config.rotation:
            self._rotation = Rotation(
                max_bytes=config.rotation.max_megabytes * MIB,
                max_age=days(config.rotation.max_days),
                max_backups=config.rotation.max_backups or None,
                local=config.rotation.localtime,
            )

    def open(self, path: Path) -> RotatingFile:
        """Return the file; one that was closed in between goes on where it ended."""
        file = self._files.pop(path, None)
        if file is None:
            append = self._append or path in self._begun
            file = RotatingFile(path, self._rotation, append=append, now_ns=self._now_ns)
            self._begun.add(path)
            if len(self._files) >= self._limit:
                self._files.popitem(last=False)[1].close()
        self._files[path] = file
        return file

    def close(self) -> None:
        """Close all."""
        while self._files:
            self._files.popitem()[1].close()


class Exporter:
    """Writes on a thread of its own, one batch after the other."""

    signals: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES}
    )

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._id = str(settings.id)
        self._encode = encoder(config)
        self._files = Files(config, settings.clock.time_ns)
        self._thread: ThreadPoolExecutor | None = None
        self._dropped = settings.telemetry.items(
            "heliograph_exporter_dropped_{}", exporter=self._id, reason="no_path_segment"
        )

    async def start(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._id)
        if self._config.group_by.enabled:
            return
        try:
            await self._run(lambda: self._files.open(Path(self._config.path)))
        except OSError as error:
            problem = Problem(
                f"exporters.{self._id}.path", f"{self._config.path}: {error.strerror}"
            )
            raise ConfigError([problem]) from None

    async def consume(self, batch: Batch) -> None:
        try:
            await self._run(lambda: self._write(batch))
        except OSError as error:
            raise Retry(f"{error.filename or self._config.path}: {error.strerror}") from error
        except WireError as error:
            raise Reject(str(error)) from error

    async def stop(self) -> None:
        if self._thread is None:
            return
        await self._run(self._files.close)
        self._thread.shutdown()
        self._thread = None

    async def _run(self, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _write(self, batch: Batch) -> None:
        group_by = self._config.group_by
        if not group_by.enabled:
            message = self._encode(batch)
            self._files.open(Path(self._config.path)).write(message)
            return
        if batch.signal == Signal.PROFILES:
            raise Reject("profiles cannot be grouped by a resource attribute")
        attribute = f"resource.attributes[{json.dumps(group_by.resource_attribute)}]"
        for segment, part in batch.partition(attribute):
            if not isinstance(segment, str):
                self._dropped[batch.signal].value += part.items
                continue
            path = place(self._config.path, segment)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files.open(path).write(self._encode(part))
