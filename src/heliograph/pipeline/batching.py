"""Merging requests that wait, without holding any of them back for company.

A request goes out at once when nothing of its group is in flight. What arrives meanwhile waits, and
goes out as one when the flight lands, when it is large enough, or after the time-out. Used by the
processor ``batch`` and by ``sending_queue.batch``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from heliograph.errors import Reject, Retry
from heliograph.otlp import Batch
from heliograph.pipeline.component import Clock
from heliograph.pipeline.contexts import group_of, join, only
from heliograph.pipeline.telemetry import Counter

T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """When to send; sizes in items or bytes, whatever the caller counts."""

    enough: int
    """Send as soon as so much waits; 0: never for that."""
    most: int
    """Largest merged request; 0: no bound."""
    timeout: float
    """Seconds that a request may wait for the flight before it; 0: it never waits."""


class Core(Generic[T]):
    """One group's decisions: requests, flights and readings of the clock come in, sends go out."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._waiting: deque[tuple[T, int, float]] = deque()
        self._size = 0
        self.in_flight = 0

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is in flight."""
        return not self._waiting and not self.in_flight

    @property
    def due(self) -> float | None:
        """When `tick` has something to do."""
        return self._waiting[0][2] + self._sizes.timeout if self._waiting else None

    def add(self, request: T, size: int, now: float) -> list[list[T]]:
        """Take a request; return what to send now, each inner list merged into one."""
        self._waiting.append((request, size, now))
        self._size += size
        if not self.in_flight or not self._sizes.timeout:
            return self._send()
        return self._send() if self._sizes.enough and self._size >= self._sizes.enough else []

    def landed(self) -> list[list[T]]:
        """A send has ended, well or badly."""
        self.in_flight -= 1
        return [] if self.in_flight else self._send()

    def tick(self, now: float) -> list[list[T]]:
        """Time has passed."""
        return self._send() if self.due is not None and now >= self.due else []

    def flush(self) -> list[list[T]]:
        """Send everything that waits."""
        return self._send()

    def remove(self, request: T) -> bool:
        """Forget a request that still waits; False when it is in flight or gone."""
        for entry in self._waiting:
            if entry[0] is request:
                self._waiting.remove(entry)
                self._size -= entry[1]
                return True
        return False

    def _send(self) -> list[list[T]]:
        sends: list[list[T]] = []
        room = 0
        for request, size, _ in self._waiting:
            if not sends or (self._sizes.most and size > room):
                sends.append([])
                room = self._sizes.most
            sends[-1].append(request)
            room -= size
        self._waiting.clear()
        self._size = 0
        self.in_flight += len(sends)
        return sends


@dataclass(eq=False)
class _Request:
    batch: Batch
    done: asyncio.Future[None]
    flight: _Flight | None = None


@dataclass(eq=False)
class _Flight:
    task: asyncio.Task[None] | None = None
    waiting: int = 0


@dataclass
class Triggers:
    """Why merged requests went out."""

    size: Counter = field(default_factory=Counter)
    timeout: Counter = field(default_factory=Counter)


class Batcher:
    """The async shell around a `Core` per group.

    Args:
        send: delivers one batch.
        keys: metadata that tell groups apart; when empty, all metadata do. Authentication always
            does.
        in_bytes: whether ``sizes`` are bytes instead of items.
        most_groups: beyond so many groups at a time, batches go out alone; 0 for no bound.
    """

    def __init__(
        self,
        send: Callable[[Batch], Awaitable[None]],
        sizes: Sizes,
        clock: Clock,
        *,
        keys: Sequence[str] = (),
        in_bytes: bool = False,
        most_groups: int = 0,
        triggers: Triggers | None = None,
    ) -> None:
        self._send = send
        self._sizes = sizes
        self._clock = clock
        self._keys = keys
        self._in_bytes = in_bytes
        self._most_groups = most_groups
        self._triggers = triggers or Triggers()
        self._groups: dict[Hashable, Core[_Request]] = {}
        self._flights: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None

    @property
    def groups(self) -> int:
        """How many groups have something waiting or in flight."""
        return len(self._groups)

    async def consume(self, batch: Batch) -> None:
        """Return when the batch was delivered, alone or in company.

        Raises: what ``send`` raised; a merged batch that was rejected is sent once more as its
            original requests first, so that each hears of its own.
        """
        if self._keys:
            batch = only(batch, self._keys)
        key = group_of(batch)
        core = self._groups.get(key)
        if core is None:
            if self._most_groups and len(self._groups) >= self._most_groups:
                await self._deliver(batch)
                return
            core = self._groups[key] = Core(self._sizes)
        if core.idle:
            await self._alone(key, core, batch)
            return
        request = _Request(batch, asyncio.get_running_loop().create_future())
        sends = core.add(request, self._measure(batch), self._clock.monotonic())
        self._triggers.size.value += len(sends)
        self._fly(key, core, sends)
        if not sends and self._timer is None:
            self._timer = asyncio.create_task(self._watch())
        try:
            await request.done
        except asyncio.CancelledError:
            self._leave(core, request)
            raise
        finally:
            del request, sends  # its error holds this frame, and this frame would hold it

    async def stop(self) -> None:
        """Send what waits, and return when nothing is in flight."""
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
            self._timer = None
        for key, core in list(self._groups.items()):
            self._fly(key, core, core.flush())
        while self._flights:
            await asyncio.wait(self._flights)

    async def _alone(self, key: Hashable, core: Core[_Request], batch: Batch) -> None:
        core.in_flight += 1
        try:
            await self._deliver(batch)
        finally:
            self._land(key, core)

    def _land(self, key: Hashable, core: Core[_Request]) -> None:
        self._fly(key, core, core.landed())
        if core.idle:
            self._groups.pop(key, None)

    def _fly(self, key: Hashable, core: Core[_Request], sends: Iterable[list[_Request]]) -> None:
        for requests in sends:
            flight = _Flight(waiting=len(requests))
            for request in requests:
                request.flight = flight
            task = asyncio.create_task(self._carry(requests))
            flight.task = task
            self._flights.add(task)
            task.add_done_callback(lambda task: self._landed(task, key, core))

    def _landed(self, task: asyncio.Task[None], key: Hashable, core: Core[_Request]) -> None:
        self._flights.discard(task)
        self._land(key, core)

    def _leave(self, core: Core[_Request], request: _Request) -> None:
        """The sender of a request has gone: nothing of it is kept."""
        flight = request.flight
        if flight is None:
            core.remove(request)
            return
        flight.waiting -= 1
        if not flight.waiting and flight.task is not None:
            flight.task.cancel()

    async def _carry(self, requests: list[_Request]) -> None:
        here = [request for request in requests if not request.done.done()]
        try:
            if len(here) == 1:
                await self._deliver(here[0].batch)
            elif here:
                await self._deliver(join([request.batch for request in here]))
        except Retry as error:
            for request in here:
                _tell(request, error)
        except asyncio.CancelledError:
            for request in here:
                _tell(request, Retry("the sending was cancelled"))
            raise
        except Exception as error:
            if len(here) == 1:
                _tell(here[0], error)
            else:
                await asyncio.gather(*(self._again(request) for request in here))
        else:
            for request in here:
                _tell(request, None)

    async def _again(self, request: _Request) -> None:
        """Send a request on its own, after its company was rejected."""
        if request.done.done():
            return
        try:
            await self._deliver(request.batch)
        except asyncio.CancelledError:
            _tell(request, Retry("the sending was cancelled"))
            raise
        except Exception as error:
            _tell(request, error)
        else:
            _tell(request, None)

    async def _deliver(self, batch: Batch) -> None:
        if self._sizes.most and self._measure(batch) > self._sizes.most:
            for part in self._split(batch):
                await self._send(part)
        else:
            await self._send(batch)

    def _measure(self, batch: Batch) -> int:
        return batch.nbytes if self._in_bytes else batch.items

    def _split(self, batch: Batch) -> list[Batch]:
        most = self._sizes.most
        return batch.split(nbytes=most) if self._in_bytes else batch.split(items=most)

    async def _watch(self) -> None:
        """Send what has waited long enough, for as long as something waits."""
        while True:
            dues = [core.due for core in self._groups.values() if core.due is not None]
            if not dues:
                self._timer = None
                return
            now = self._clock.monotonic()
            if min(dues) > now:
                await self._clock.sleep(min(dues) - now)
                now = self._clock.monotonic()
            for key, core in list(self._groups.items()):
                sends = core.tick(now)
                self._triggers.timeout.value += len(sends)
                self._fly(key, core, sends)


def _tell(request: _Request, error: Exception | None) -> None:
    if request.done.done():
        return
    if error is None:
        request.done.set_result(None)
    else:
        request.done.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """Return an exception that one sender alone is told, with all that was noted on the other.

    It does not hold the other, whose traceback holds the batches of all.
    """
    if isinstance(error, Retry):
        own: Exception = Retry(error.reason, error.after)
    elif isinstance(error, Reject):
        own = type(error)(error.reason, error.code)
    else:
        return error
    own.__dict__.update(error.__dict__)
    return own
