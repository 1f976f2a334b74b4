"""What delivery needs of a journal on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from heliograph.errors import HeliographError
from heliograph.otlp import Batch, Signal


class JournalError(HeliographError):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class JournalFull(JournalError): ...


@dataclass(frozen=True)
class Record:
    id: int
    batch: Batch
    received_ns: int


class JournalQueue(Protocol):
    waiting: int
    records: int
    items: int
    nbytes: int
    restored: Mapping[Signal, int]
    oldest_ns: int | None

    async def append(self, batch: Batch, *, pack: bool, hold: bool) -> int: ...
    async def take(self) -> Record | None: ...
    def done(self, id: int) -> None: ...
    def put_back(self, id: int) -> None: ...


class Journal(Protocol):
    def queue(self, name: str) -> JournalQueue: ...
