"""The journal of the process, ``service.journal``: for exporters that name no storage."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from heliograph.errors import ConfigError
from heliograph.pipeline.component import Edge
from heliograph.pipeline.config import Config
from heliograph.pipeline.delivery_config import keeps
from heliograph.pipeline.journal import Journal, JournalSettings
from heliograph.pipeline.state import StateDirectory

_SYNCED = {0.0: "synced before each answer", None: "never synced"}


def opened(
    config: Config, state: StateDirectory | None, edge: Edge, log: logging.Logger
) -> Journal | None:
    """Open it, and say where it is; without one, senders wait until their data is delivered.

    Raises: ConfigError when a directory that the configuration names cannot be used.
    """
    wanted = config.journal
    if not _needed(config):
        return None
    directory = wanted.directory or (state.path / "journal" if state else None)
    if directory is None:
        log.warning("no journal: senders wait until their data is delivered")
        return None
    try:
        journal = Journal.open(edge, _settings(config, directory), path="service.journal.directory")
    except ConfigError as error:
        if wanted.directory is not None:
            raise
        log.warning("no journal, senders wait until their data is delivered: %s", error)
        return None
    log.info(
        "journal: %s, at most %d MiB, %s; %d batches from before",
        directory,
        wanted.max_size_mib,
        _SYNCED.get(wanted.fsync, f"synced every {wanted.fsync or 0:g} s"),
        journal.recovery.records,
    )
    return journal


def reloaded(journal: Journal | None, old: Config, new: Config) -> Iterable[str]:
    """Give a journal that is open its new limits; yield what has to wait for a restart."""
    before, after = old.journal, new.journal
    if journal is None:
        if _needed(new):
            yield "exporters could use a journal now; restart to open it"
        return
    if (before.enabled, before.directory) != (after.enabled, after.directory):
        yield "service.journal has moved, or was turned on or off; restart to apply it"
    elif before != after:
        journal.adjust(_settings(new, journal.directory))


def _needed(config: Config) -> bool:
    return config.journal.enabled and any(keeps(spec.config) for spec in config.components.values())


def _settings(config: Config, directory: Path) -> JournalSettings:
    wanted = config.journal
    return JournalSettings(directory, wanted.max_size_mib * 2**20, wanted.fsync, wanted.when_full)
