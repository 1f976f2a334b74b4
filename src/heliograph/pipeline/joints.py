"""The small consumers between components: where batches enter, go on, part, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from heliograph.errors import DeliveryError, Reject, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Consumer, Exporter, Settings
from heliograph.pipeline.ledger import Ledger
from heliograph.pipeline.outcomes import INTERNAL, Outcomes, passing
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import ITEMS, SIGNAL_NAMES, Counter, Telemetry

if TYPE_CHECKING:
    from heliograph.pipeline.own.tracing import Tracer

Consume = Callable[[Batch], Coroutine[Any, Any, None]]


class Way:
    """One way on from a joint, and how many batches are on it."""

    __slots__ = ("consume", "emptied", "inside")

    def __init__(self, next: Consumer) -> None:
        self.consume = next.consume
        self.inside = 0
        self.emptied: asyncio.Event | None = None

    async def empty(self) -> None:
        """Return when nothing is on it any more; for a way that nobody takes from now on."""
        if self.inside:
            self.emptied = self.emptied or asyncio.Event()
            await self.emptied.wait()


class Joint:
    """Hands on to the next component, which a reload may exchange while batches flow."""

    def __init__(self, next: Consumer) -> None:
        self.next = next
        self._way = Way(next)

    async def consume(self, batch: Batch) -> None:
        way = self._way
        way.inside += 1
        try:
            await way.consume(batch)
        finally:
            way.inside -= 1
            if way.emptied is not None and not way.inside:
                way.emptied.set()

    def lead(self, next: Consumer) -> Way:
        """Take another way from now on; return the old one, which may still have batches."""
        old = self._way
        self.next = next
        self._way = Way(next)
        return old


class Entry(Joint):
    """Where a receiver's batches of one signal enter: counted, and fenced against bugs.

    ``received = accepted + refused + failed``, and what is still inside.

    Args:
        blame: names the component whose code an exception came out of.
        tracer: begins a trace for some of the batches.
    """

    def __init__(
        self,
        next: Consumer,
        signal: Signal,
        receiver: str,
        *,
        telemetry: Telemetry,
        say: Sparingly,
        blame: Callable[[BaseException], str],
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__(next)
        self._signal = signal
        self._receiver = receiver
        self._telemetry = telemetry
        self._say = say
        self._blame = blame
        go: Consume = partial(Joint.consume, self)
        self._go = go if tracer is None else tracer.root(go, f"receiver/{receiver}")
        self._counts: _Counts | None = None
        """None until the first batch: a receiver may only ever use what `through` returns."""

    def through(self, transport: str) -> Consumer:
        """Return a consumer that counts what comes by one transport."""
        return _Through(partial(self._take, self._count(transport)))

    def consume(self, batch: Batch) -> Coroutine[Any, Any, None]:
        if self._counts is None:
            self._counts = self._count("")
        return self._take(self._counts, batch)

    async def _take(self, counts: _Counts, batch: Batch) -> None:
        items = batch.items
        counts.received.value += items
        try:
            await self._go(batch)
        except (DeliveryError, asyncio.CancelledError):
            counts.refused.value += items
            counts.refusals.value += 1
            raise
        except Exception as error:
            counts.failed.value += items
            counts.failures.value += 1
            raise self._broken(batch, error) from error
        counts.accepted.value += items
        counts.successes.value += 1

    def _count(self, transport: str) -> _Counts:
        labels = {"receiver": self._receiver} | ({"transport": transport} if transport else {})
        counter, noun = self._telemetry.counter, ITEMS[self._signal]
        return _Counts(
            *(counter(name.format(noun), **labels) for name in _RECEIVER_ITEMS),
            *(counter("otelcol_receiver_requests", outcome=how, **labels) for how in _OUTCOMES),
        )

    def _broken(self, batch: Batch, error: Exception) -> DeliveryError:
        """Return what the sender hears: to send it again after the world's failures, never again
        after a bug, because the same bytes would meet the same bug."""
        culprit = self._blame(error)
        self._telemetry.counter("heliograph_component_errors", component=culprit).value += 1
        again = passing(error)
        fate = "stay with their sender" if again else "are lost"
        message = f"{culprit} failed on {batch.items} items, which {fate}: {error!r}"
        self._say.error(("broken", culprit), message, caught=error)
        return again or Reject(f"internal error in {culprit}", INTERNAL)


class _Through:
    """One transport of an entry."""

    __slots__ = ("consume",)

    def __init__(self, consume: Consume) -> None:
        self.consume = consume


@dataclass(frozen=True, slots=True)
class _Counts:
    received: Counter
    accepted: Counter
    refused: Counter
    failed: Counter
    successes: Counter
    refusals: Counter
    failures: Counter


_OUTCOMES = ("success", "refused", "failure")
_RECEIVER_ITEMS = (
    "heliograph_receiver_received_{}",
    "otelcol_receiver_accepted_{}",
    "otelcol_receiver_refused_{}",
    "otelcol_receiver_failed_{}",
)


class Intake:
    """Where batches come to a processor: counted, and what becomes of them."""

    def __init__(self, processor: Consumer, ledger: Ledger) -> None:
        self.processor = processor
        self._consume = processor.consume
        self._ledger = ledger

    async def consume(self, batch: Batch) -> None:
        ledger, items = self._ledger, batch.items
        ledger.incoming.value += items
        ledger.pending += items
        try:
            await self._consume(batch)
        except BaseException as error:
            ledger.failed(items, error)
            raise
        ledger.pending -= items
        if ledger.incoming.value - ledger.outgoing.value != ledger.even:
            ledger.settle()


class Handover(Joint):
    """Where a processor hands batches on: counted, and whether they are taken."""

    def __init__(self, next: Consumer, ledger: Ledger) -> None:
        super().__init__(next)
        self._ledger = ledger

    async def consume(self, batch: Batch) -> None:
        items, way = batch.items, self._way
        self._ledger.outgoing.value += items
        way.inside += 1
        try:
            await way.consume(batch)
        except BaseException as error:
            self._ledger.came_back(items, error)
            raise
        finally:
            way.inside -= 1
            if way.emptied is not None and not way.inside:
                way.emptied.set()


class Passage:
    """Where batches come to a connector: counted."""

    def __init__(self, connector: Consumer, id: str, telemetry: Telemetry) -> None:
        self._consume = connector.consume
        self._count = partial(_passing, telemetry, id, "heliograph_connector_consumed_items")
        self._counts: dict[Signal, Counter] = {}

    def consume(self, batch: Batch) -> Coroutine[Any, Any, None]:
        signal = batch.signal
        count = self._counts.get(signal)
        if count is None:
            count = self._counts[signal] = self._count(signal)
        count.value += batch.items
        return self._consume(batch)


class Exit(Joint):
    """Where a connector hands batches on: counted."""

    def __init__(self, next: Consumer, signal: Signal, id: str, telemetry: Telemetry) -> None:
        super().__init__(next)
        self._count = _passing(telemetry, id, "heliograph_connector_produced_items", signal)

    def consume(self, batch: Batch) -> Coroutine[Any, Any, None]:
        self._count.value += batch.items
        return super().consume(batch)


def _passing(telemetry: Telemetry, connector: str, name: str, signal: Signal) -> Counter:
    labels = {"connector": connector, "otel.signal": SIGNAL_NAMES[signal]}
    return telemetry.counter(name, **labels)


class FanOut:
    """Hands each batch to several branches side by side; they share it."""

    def __init__(
        self, name: str, branches: Sequence[tuple[str, Consumer]], telemetry: Telemetry
    ) -> None:
        self._branches = [consumer.consume for _, consumer in branches]
        self._repeated = [
            telemetry.items("heliograph_fanout_repeated_{}", source=name, branch=branch)
            for branch, _ in branches
        ]

    async def consume(self, batch: Batch) -> None:
        """Return when all branches have it.

        Raises:
            Retry: when any branch wants it again. The branches that have it then get it twice;
                that is counted.
            Reject: when no branch wants it again and one will never take it.
        """
        outcomes = await asyncio.gather(
            *[consume(batch) for consume in self._branches], return_exceptions=True
        )
        failures = [outcome for outcome in outcomes if outcome is not None]
        if not failures:
            return
        retries = [error for error in map(_again, failures) if error is not None]
        if retries:
            for outcome, repeated in zip(outcomes, self._repeated, strict=True):
                if outcome is None:
                    repeated[batch.signal].value += batch.items
            delays = [error.after for error in retries if error.after is not None]
            reasons = "; ".join(dict.fromkeys(error.reason for error in retries))
            raise Retry(reasons, max(delays, default=None))
        for error in failures:
            if not isinstance(error, Reject):
                raise error
        rejects = [error for error in failures if isinstance(error, Reject)]
        reasons = "; ".join(dict.fromkeys(error.reason for error in rejects))
        raise Reject(reasons, rejects[0].code)


class Outlet:
    """Counts what goes into an exporter that needs no `Delivery` around it."""

    def __init__(self, exporter: Exporter, settings: Settings) -> None:
        self._export = exporter.consume
        self._outcomes = Outcomes(settings)

    async def consume(self, batch: Batch) -> None:
        self._outcomes.received(batch)
        try:
            lost = await self._export(batch) or 0
        except Reject as error:
            self._outcomes.rejected(batch, error)
            raise
        except asyncio.CancelledError:
            self._outcomes.returned(batch)
            raise
        except Exception as error:
            failure = error if isinstance(error, Retry) else passing(error)
            if failure is None:
                broken = self._outcomes.broken(batch, error)
                self._outcomes.rejected(batch, broken)
                raise broken from error
            self._outcomes.transient(failure.reason)
            self._outcomes.sent_back(batch)
            self._outcomes.returned(batch)
            raise failure from error
        self._outcomes.sent(batch, lost)


def _again(failure: BaseException) -> Retry | None:
    if isinstance(failure, Retry):
        return failure
    return passing(failure) if isinstance(failure, Exception) else None
