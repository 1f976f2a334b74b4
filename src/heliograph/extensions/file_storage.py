"""Keep on disk what exporters cannot deliver.

YAML: ``extensions: file_storage``, named under ``service.extensions``; exporters use it with
``sending_queue: {storage: file_storage}``. Fields: `Config`. It is a journal of its own, like the
one that exporters have without it (``service.journal``), in a directory that one process at a time
uses. A batch for several exporters is there once. What an acknowledgement is worth after a power
loss is the choice of ``fsync`` and ``sync_interval``; after a crash of the process nothing is lost.
Damaged files are set aside and the rest is read. Queues that the Go collector left in the directory
are not read: drain them there. On a reload the storage that takes over goes on with the journal
that is open.
Source: the Collector's filestorage extension.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from heliograph.errors import ConfigError, Problem
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.fields import Duration, Field
from heliograph.pipeline.journal import Journal, JournalSettings
from heliograph.pipeline.journals import Share, share

MIB = 1 << 20
SMALLEST = MIB
DIRECTORY = Path("/var/lib/otelcol/file_storage")

_BOLT = b"\xed\xda\x0c\xed"
"""What is at byte 16 of the Go collector's files."""


class Compaction(ComponentConfig):
    """``compaction``: accepted for compatibility; space is given back without it."""

    on_start: bool = Field(False, description="Without effect.")
    on_rebound: bool = Field(False, description="Without effect.")
    directory: Path = Field(DIRECTORY, description="Without effect.")
    rebound_needed_threshold_mib: int = Field(100, description="Without effect.", unit="MiB")
    rebound_trigger_threshold_mib: int = Field(10, description="Without effect.", unit="MiB")
    max_transaction_size: int = Field(65536, ge=0, description="Without effect.")
    check_interval: Duration = Field("5s", description="Without effect.")
    cleanup_on_start: bool = Field(False, description="Without effect.")


class Config(ComponentConfig):
    directory: Path = Field(DIRECTORY, description="Where; one process at a time.")
    timeout: Duration = Field(
        "1s", ge=0, description="Wait for another process to let go of the directory."
    )
    max_size_mib: int = Field(
        2048, ge=1, description="Bytes that all of it may take on disk.", unit="MiB"
    )
    max_size: int = Field(
        0,
        ge=0,
        description="The same in bytes, as the Go collector has it; 0: max_size_mib counts.",
    )
    when_full: Literal["refuse", "drop_oldest"] = Field(
        "refuse", description="Senders keep their data, or the oldest is dropped and counted."
    )
    fsync: bool = Field(False, description="Sync before each acknowledgement.")
    sync_interval: Duration = Field(
        "200ms", ge=0, description="Otherwise sync so often; 0 for never."
    )
    create_directory: bool = Field(False, description="Make the directory if it is not there.")
    directory_permissions: str = Field(
        "0750", description="Permissions that it is made with, in octal, less the umask."
    )
    recreate: bool = Field(
        False, description="Without effect: damaged files are set aside in any case."
    )
    compaction: Compaction = Field(
        Compaction(), description="Without effect: space is given back in any case."
    )

    def check(self) -> Iterator[Problem]:
        if self.max_size and "max_size_mib" in self.model_fields_set:
            yield Problem("max_size", "stands beside max_size_mib", fix="remove one of them")
        elif 0 < self.max_size < SMALLEST:
            yield Problem("max_size", f"is {self.max_size}, below {SMALLEST}", fix="in bytes")
        if self.fsync and "sync_interval" in self.model_fields_set:
            yield Problem("sync_interval", "says nothing beside fsync: true", fix="remove it")
        if _permissions(self.directory_permissions) is None:
            found = self.directory_permissions
            yield Problem(
                "directory_permissions", f"is '{found}', no permissions in octal", fix="use '0750'"
            )

    @property
    def journal(self) -> JournalSettings:
        """What the journal is told; ``heliograph collector journal`` looks here for it."""
        max_bytes = self.max_size or self.max_size_mib * MIB
        fsync = 0.0 if self.fsync else self.sync_interval or None
        return JournalSettings(self.directory, max_bytes, fsync, self.when_full)


class Extension:
    """A storage; ``journal`` is there from the start to the stop."""

    signals: ClassVar[frozenset[Signal]] = frozenset()

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._share: Share | None = None

    @property
    def journal(self) -> Journal | None:
        """The journal, None before the start and after the stop."""
        return None if self._share is None else self._share.journal

    async def start(self) -> None:
        if self._share is not None:
            return
        config, log = self._config, self._settings.log
        _prepare(config)
        for left in _foreign(config.directory):
            log.warning(
                "%s: a queue of the Go collector, which is not read here; drain it there", left
            )
        self._share = await share(
            self._settings.edge,
            config.journal,
            log=log,
            path="directory",
            patience=config.timeout,
        )
        given = self._settings
        self._share.journal.measure(given.telemetry, extension=str(given.id))

    async def stop(self) -> None:
        """Write what is left, and let go of the directory unless another storage has it too."""
        if self._share is not None:
            joined, self._share = self._share, None
            await joined.leave()


def _permissions(text: str) -> int | None:
    """Return permissions from octal digits, None where they are none."""
    try:
        found = int(text, 8)
    except ValueError:
        return None
    return found if 0 <= found <= 0o777 else None


def _prepare(config: Config) -> None:
    """Have a directory. Raises: ConfigError."""
    directory = config.directory
    try:
        if config.create_directory:
            mode = _permissions(config.directory_permissions) or 0
            directory.mkdir(parents=True, exist_ok=True, mode=mode)
        if not stat.S_ISDIR(os.stat(directory).st_mode):
            raise NotADirectoryError
    except (FileExistsError, NotADirectoryError):
        fix = "name another one, or move the file away"
        problem = Problem("directory", f"is no directory: {directory}", fix=fix)
    except FileNotFoundError:
        fix = "make it, or write create_directory: true"
        problem = Problem("directory", f"is not there: {directory}", fix=fix)
    except OSError as error:
        problem = Problem("directory", f"cannot be used: {directory}: {error.strerror}")
    else:
        return
    raise ConfigError([problem])


def _foreign(directory: Path) -> Iterator[Path]:
    """Yield the Go collector's files."""
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.suffix not in (".seg", ".damaged") and path.name != "lock":
            with path.open("rb") as file:
                head = file.read(20)
            if head[16:] == _BOLT:
                yield path
