"""What batch processors have in common: a bounded queue, and the thread that exports from it."""

from __future__ import annotations

import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, cast

from opentelemetry.context import detach

from heliograph._core import Batch, ExportQueue, Signal
from heliograph.sdk import _variables as variables
from heliograph.sdk._exit import is_ending
from heliograph.sdk._fence import fenced
from heliograph.sdk._self_metrics import Reading, observe, processed
from heliograph.sdk._thread import Elsewhere
from heliograph.sdk._worker import Worker, attach_exporting

_log = logging.getLogger("heliograph.sdk")

QUEUE_BYTES = 32 << 20
"""Bytes that wait for an exporter of ours."""

QUEUE_ITEMS = 32768
"""Items that wait for another exporter, unless a limit is given."""

WhenFull = Literal["drop_newest", "drop_oldest", "block"]

TakesBytes = Callable[[Iterator[Batch], float], Iterator[bool]]


class Batching:
    """A batch processor of any signal; subclasses add what their items look like.

    Raises: ValueError when a number is not positive, or a batch larger than the queue.
    """

    _signal: ClassVar[Signal]
    _items: ClassVar[str]
    """What messages call the items."""
    _thing: ClassVar[str]
    """What the SDK's metrics about itself call them."""
    _variables: ClassVar[str]
    """How the names of the environment variables begin."""
    _delay_millis: ClassVar[int]

    def __init__(
        self,
        exporter: Any,
        *,
        max_queue_size: int | None,
        schedule_delay_millis: float | None,
        max_export_batch_size: int | None,
        export_timeout_millis: float | None,
        max_queue_bytes: int,
        when_full: WhenFull,
        block_millis: float,
        meter_provider: Any,
    ) -> None:
        root = self._variables
        most, delay, batch = max_queue_size, schedule_delay_millis, max_export_batch_size
        if most is None:
            most = variables.integer(f"{root}_MAX_QUEUE_SIZE", None, least=1)
        if delay is None:
            delay = variables.integer(f"{root}_SCHEDULE_DELAY", self._delay_millis) or 1
        if batch is None:
            batch = _batch_size(f"{root}_MAX_EXPORT_BATCH_SIZE", most)
        timeout = export_timeout_millis
        if timeout is None:
            timeout = variables.timeout(f"{root}_EXPORT_TIMEOUT", 30000)
        given = {
            "max_queue_size": most,
            "schedule_delay_millis": delay,
            "max_export_batch_size": batch,
            "max_queue_bytes": max_queue_bytes,
        }
        for name, value in given.items():
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}, not positive")
        if most is not None and batch > most:
            raise ValueError(f"max_export_batch_size is {batch}, more than max_queue_size ({most})")
        self._exporter = exporter
        self._timeout = timeout / 1000
        self._block = block_millis / 1000
        self._said = False
        self._away: deque[int] = deque()
        """Items of the batches that are on their way."""
        self._lost = 0
        """Items that were given up at the end of the process."""
        thread = f"heliograph-{self._items.replace(' ', '-')}"
        self._worker = Worker(thread, self._export_waiting, delay / 1000)
        self._export_batches = taker_of_bytes(exporter)
        self._elsewhere = Elsewhere(f"{thread}-flush")
        is_ours = self._export_batches is not None
        self._capacity = most if is_ours or most is not None else QUEUE_ITEMS
        self._direct = ExportQueue(
            self._signal,
            _weakly(self._wake),
            batch=int(batch),
            max_bytes=max_queue_bytes,
            max_items=self._capacity,
            full=when_full,
            as_objects=not is_ours,
        )
        self.own = observe(self, meter_provider, f"batching_{self._thing}_processor")

    @property
    def dropped(self) -> int:
        """Items that found no room, in this process."""
        return self._direct.dropped

    @property
    def waiting(self) -> int:
        """Items that wait to be exported."""
        return len(self._direct)

    def own_readings(self) -> Iterator[Reading]:
        """Yield what this SDK reports on itself."""
        queue = f"otel.sdk.processor.{self._thing}.queue"
        yield f"{queue}.size", self.waiting, {}
        if self._capacity is not None:
            yield f"{queue}.capacity", self._capacity, {}
        yield from processed(self._thing, self._direct.taken, self.dropped)

    def _wake(self, reason: str) -> None:
        """Take a word from the queue."""
        if reason == "room":
            self._wait_for_room()
        elif reason == "full":
            self._say_drops()
        else:
            self._say_drops()
            self._worker.wake(reason)

    def _say_drops(self) -> None:
        """Say once that items are dropped, if they are; the oldest ones go without a word."""
        if not self._said and self._direct.dropped:
            self._said = True
            _log.error("the queue of %s is full: they are dropped and counted", self._items)

    def _wait_for_room(self) -> None:
        if self._worker.is_here():
            return
        self._worker.wake("batch")
        end = time.monotonic() + self._block
        while not self._direct.has_room_again and time.monotonic() < end:
            time.sleep(0.001)

    def _export_waiting(self, everything: bool) -> Iterator[bool]:
        """Export what waits; yield for each batch whether it was taken."""
        self._say_drops()
        self._away.clear()
        timeout = min(self._timeout, self._worker.within)
        if self._export_batches is not None:
            for done in self._export_batches(self._batches(everything), timeout):
                yield self._settled(done)
            return
        left = self.waiting
        while self._goes_on(everything, left) and (
            taken := self._direct.take_objects(all=everything)
        ):
            left -= len(taken)
            self._away.append(len(taken))
            try:
                result = self._exporter.export(self._views(taken))
            except Exception:
                _log.exception("an exporter of %s raised", self._items)
                yield self._settled(False)
            else:
                # Of the official SDK's enumeration or of ours.
                yield self._settled(getattr(result, "name", "SUCCESS") == "SUCCESS")

    def _settled(self, done: bool) -> bool:
        """Count a batch that is no longer on its way; they come about in order."""
        items = self._away.popleft() if self._away else 0
        if not done and is_ending():
            self._lost += items
        return done

    def _batches(self, everything: bool) -> Iterator[Batch]:
        left = self.waiting
        while self._goes_on(everything, left) and (batch := self._direct.take(all=everything)):
            left -= batch.items
            self._away.append(batch.items)
            yield batch

    def _goes_on(self, everything: bool, left: int) -> bool:
        """Whether to export more, when so much is left of what was there at the beginning: a flush
        is about what was recorded before it, however much comes after, and comes before that."""
        return left > 0 if everything else not self._worker.is_asked

    def _views(self, taken: list[Any]) -> Sequence[Any]:
        """Return the items as exporters get them."""
        return taken

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export what waits, and let the exporter send what it holds itself; return whether that
        was done within the time (30 s)."""
        end = time.monotonic() + (30000 if timeout_millis is None else timeout_millis) / 1000
        flushed = self._worker.flush(end - time.monotonic())
        flush = getattr(self._exporter, "force_flush", None)
        left = int(1000 * (end - time.monotonic()))
        if flush is None:
            return flushed
        if left <= 0:
            return False
        token = attach_exporting()
        try:
            return self._flushed(flush, left) and flushed
        finally:
            detach(token)

    def _flushed(self, flush: Callable[[int], Any], timeout_millis: int) -> bool:
        """Whether the exporter has sent what it holds; one of others may ignore the time."""
        if type(self._exporter).__module__.startswith("heliograph."):
            return fenced(flush, timeout_millis) is not False
        call = partial(fenced, flush, timeout_millis)
        try:
            return self._elsewhere.run(call, timeout_millis / 1000) is not False
        except TimeoutError:
            return False

    def shutdown(self, timeout_millis: int = 30000) -> None:
        """Export what waits, within the time, and shut the exporter down."""
        self._worker.flush(timeout_millis / 1000, last=True)
        self._exporter.shutdown()

    def begin_leaving(self, within: float) -> None:
        """Of a part (`heliograph.sdk._exit`), as the next five."""
        self._worker.begin_leaving(within)

    def has_left(self, wait: float) -> bool:
        return self._worker.has_left(wait)

    def progress(self) -> int:
        return self._worker.exported

    def abandon(self) -> None:
        self._worker.abandon()

    def lost(self) -> str:
        if not self._worker.is_of_this_process:
            return ""
        # After a good end, what waits was recorded too late.
        waiting = 0 if self._worker.left_well else self.waiting
        count = waiting + sum(self._away) + self._lost
        return f"{count} {self._items}" if count else ""

    def trouble(self) -> str:
        return trouble_of(self._exporter)


def trouble_of(exporter: Any) -> str:
    """Return where an exporter sends to and what went wrong there; "" when it does not say."""
    trouble = getattr(exporter, "_trouble", None)
    return str(trouble()) if trouble is not None else ""


def _weakly(method: Callable[[str], None]) -> Callable[[str], None]:
    """Return a method that does not keep its processor: the collector of garbage cannot see through
    the queue that holds it."""
    found = weakref.WeakMethod(method)

    def call(reason: str) -> None:
        method = found()
        if method is not None:
            method(reason)

    return call


def taker_of_bytes(exporter: Any) -> TakesBytes | None:
    """Return what an exporter does with bytes: it has ``export_batches(batches, timeout)``, or
    ``export_batch(batch, timeout)`` for one at a time; None when it wants objects, or somebody has
    changed how it exports these."""
    kind = type(exporter)
    own = getattr(kind, "_export_objects", None)
    if own is not None and (kind.export is not own or "export" in vars(exporter)):
        return None
    if hasattr(kind, "export_batches"):
        return cast(TakesBytes, exporter.export_batches)
    if hasattr(kind, "export_batch"):
        return lambda batches, timeout: (exporter.export_batch(one, timeout) for one in batches)
    return None


def _batch_size(variable: str, most: int | None) -> int:
    """Return what a variable says, at most the size of the queue."""
    usual = 512 if most is None else min(512, most)
    found = variables.integer(variable, usual, least=1)
    if most is None or found <= most:
        return found
    wrong = f"above {variable.replace('EXPORT_BATCH', 'QUEUE')} ({most})"
    variables.warn(variable, str(found), wrong, usual)
    return usual
