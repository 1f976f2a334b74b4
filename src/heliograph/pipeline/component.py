"""The contract of a component.

A component is one module: a docstring that is its reference page, ``Config``, and one of
``Receiver``, `Processor`, `Connector`, `Exporter`, `Extension` built as ``Class(config, settings,
next)`` (exporters and extensions: without ``next``). Its life is ``start``, ``consume`` any number
of times, ``stop``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from heliograph._core import Events
from heliograph.errors import Problem
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.ledger import Ledger
from heliograph.pipeline.listeners import Listeners
from heliograph.pipeline.redaction import shown
from heliograph.pipeline.telemetry import Telemetry


class Kind(StrEnum):
    """The YAML section a component stands in."""

    RECEIVER = "receivers"
    PROCESSOR = "processors"
    CONNECTOR = "connectors"
    EXPORTER = "exporters"
    EXTENSION = "extensions"

    @property
    def singular(self) -> str:
        """The word for one of them."""
        return self.value[:-1]

    @property
    def class_name(self) -> str:
        """The name of the class in the component's module."""
        return self.singular.capitalize()


@dataclass(frozen=True, order=True)
class ComponentId:
    """``type`` or ``type/name``, as written in the configuration."""

    type: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.type}/{self.name}" if self.name else self.type


class ComponentConfig(BaseModel):
    """Base of every ``Config``: unknown keys are errors, values are checked, never coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show addresses without the credentials in them."""
        for name, value in super().__repr_args__():
            yield name, shown(value)

    def check(self) -> Iterator[Problem]:
        """Yield what no single field can see; paths are relative to this configuration."""
        yield from ()

    def advise(self, kind: Kind) -> Iterator[Problem]:
        """Yield what works and may not be meant; it is said as a warning.

        Args:
            kind: the section that the component stands in.
        """
        del kind
        yield from ()


class Clock(Protocol):
    """Time as components see it; tests pass ``heliograph.testing.FakeClock``."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class SystemClock:
    """The machine's clock."""

    monotonic = staticmethod(time.monotonic)
    time_ns = staticmethod(time.time_ns)
    sleep = staticmethod(asyncio.sleep)


class Consumer(Protocol):
    """What takes batches: the next step of a pipeline."""

    async def consume(self, batch: Batch) -> None:
        """Return when the batch is delivered or durable.

        Raises:
            Retry: nothing was kept; the same batch may be sent again.
            Reject: these bytes will never be taken.
        """


def through(consumer: Consumer, transport: str) -> Consumer:
    """Return the same consumer for a receiver's batches that come by one transport."""
    splits: Callable[[str], Consumer] | None = getattr(consumer, "through", None)
    return consumer if splits is None else splits(transport)


class Edge:
    """The native runtime's door into one asyncio loop.

    Native calls take ``edge.events`` and a target; the target is called on the loop with the
    payload when the native side has something to say.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, log: logging.Logger) -> None:
        self.events = Events()
        self._loop = loop
        self._log = log
        loop.add_reader(self.events.fileno(), self._drain)

    def close(self) -> None:
        self._loop.remove_reader(self.events.fileno())

    def _drain(self) -> None:
        for target, payload in self.events.drain():
            try:
                target(payload)
            except Exception:
                self._log.exception("an event from the edge could not be handled")


@dataclass(frozen=True)
class Settings:
    """What the program gives a component beside its configuration."""

    id: ComponentId
    kind: Kind
    log: logging.Logger
    edge: Edge
    signal: Signal | None = None
    """The signal of the pipeline a processor stands in; None for the other kinds."""
    clock: Clock = field(default_factory=SystemClock)
    telemetry: Telemetry = field(default_factory=Telemetry)
    """Counters to add to, and the state of the process and of its exporters to read."""
    ledger: Ledger = field(default_factory=Ledger)
    """Where a processor says what it removed and why, what it created, and what it holds."""
    extensions: Mapping[ComponentId, Component] = field(default_factory=dict)
    """Started extensions by id, for authenticators and storage."""
    listeners: Listeners = field(default_factory=Listeners)
    """Sockets that listen already: handed in by systemd, or of the component before a reload."""
    failed: Callable[[BaseException], None] = lambda error: None
    """Report that this component cannot go on; the program drains and exits non-zero."""


class Component(Protocol):
    """The life of a component. ``stop`` is safe without ``start`` and safe twice, and ``start`` may
    follow it: when a reload fails, what had to make way comes back.

    A class that blocks (a client library without asyncio, heavy computation) says
    ``blocking = True`` and is run on a thread and loop of its own; extensions cannot. A receiver
    that takes its sockets from ``settings.listeners`` says ``hands_over = True``: on a reload its
    successor starts before it stops, so that nobody is refused.
    """

    signals: ClassVar[frozenset[Signal]]

    async def start(self) -> None:
        """Open what is needed.

        Raises:
            ConfigError: the world does not fit the configuration (a port in use, a missing file).
        """

    async def stop(self) -> None:
        """Send what is held, then close everything."""


class Receiver(Component, Protocol):
    """Bytes from outside to batches. Built as ``Receiver(config, settings, next)``; one instance
    serves all pipelines that name it; ``next`` has a consumer for each signal somebody wants."""

    def __init__(
        self, config: Any, settings: Settings, next: Mapping[Signal, Consumer]
    ) -> None: ...


class Processor(Component, Consumer, Protocol):
    """Batch to batch. Built as ``Processor(config, settings, next)``, one instance a pipeline."""

    def __init__(self, config: Any, settings: Settings, next: Consumer) -> None: ...


class Connector(Component, Consumer, Protocol):
    """End of pipelines and start of others. ``next`` has a consumer for each signal it feeds."""

    feeds: ClassVar[Mapping[Signal, frozenset[Signal]]]
    """Which signals it makes of each that it takes; its keys are ``signals``."""

    def __init__(
        self, config: Any, settings: Settings, next: Mapping[Signal, Consumer]
    ) -> None: ...


class Exporter(Component, Protocol):
    """Batch to elsewhere. When ``Config`` derives from ``pipeline.delivery.DeliveryConfig``,
    waiting room, journal, concurrency, time-out and retry are put around it by the graph."""

    def __init__(self, config: Any, settings: Settings) -> None: ...

    async def consume(self, batch: Batch) -> int | None:
        """Make one attempt; return when the other side has acknowledged.

        Returns: how many items the other side did not take for good, where it says so; the
            exporter counts them in ``heliograph_exporter_dropped_*`` with its reason.
        Raises:
            Retry: nothing was kept; the same batch may be sent again.
            TooLarge: less of it at a time may be taken.
            Reject: these bytes will never be taken.
        """


class Extension(Component, Protocol):
    """Something beside the pipelines: health page, authenticator, storage."""

    def __init__(self, config: Any, settings: Settings) -> None: ...


class Authenticator(Extension, Protocol):
    """An extension that receivers and exporters name under ``auth: {authenticator: id}``."""

    async def authenticate(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the claims of an incoming request; header names are lower-case.

        Raises:
            Reject: with code 16 (UNAUTHENTICATED); the reason never repeats the credential.
        """

    def headers(self) -> Mapping[str, str]:
        """Return what an outgoing request has to carry, read afresh each time."""
