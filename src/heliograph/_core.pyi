"""The native core."""

from collections.abc import Callable
from typing import ClassVar, final

class HeliographError(Exception): ...

class WireError(HeliographError):
    offset: int

@final
class Signal:
    TRACES: ClassVar[Signal]
    METRICS: ClassVar[Signal]
    LOGS: ClassVar[Signal]
    PROFILES: ClassVar[Signal]
    def __int__(self) -> int: ...

@final
class Context: ...

@final
class Batch:
    def __new__(cls, signal: Signal, data: bytes) -> Batch: ...
    @property
    def signal(self) -> Signal: ...
    @property
    def items(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def wire(self) -> bytes: ...

@final
class Events:
    def __new__(cls) -> Events: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[tuple[Callable[[object], None], object]]: ...
