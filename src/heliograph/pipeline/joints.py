"""The small consumers between components: where batches enter, go on, part, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from heliograph.errors import DeliveryError, Reject, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Consumer, Exporter, Settings
from heliograph.pipeline.outcomes import INTERNAL, Outcomes, passing
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import ITEMS, Telemetry


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

    Args:
        blame: names the component whose code an exception came out of.
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
    ) -> None:
        super().__init__(next)
        self._telemetry = telemetry
        self._say = say
        self._blame = blame
        names = (f"otelcol_receiver_{what}_{ITEMS[signal]}" for what in _RECEIVED)
        self._accepted, self._refused, self._failed = (
            telemetry.counter(name, receiver=receiver) for name in names
        )

    async def consume(self, batch: Batch) -> None:
        try:
            await super().consume(batch)
        except DeliveryError:
            self._refused.value += batch.items
            raise
        except Exception as error:
            raise self._broken(batch, error) from error
        self._accepted.value += batch.items

    def _broken(self, batch: Batch, error: Exception) -> DeliveryError:
        """Return what the sender hears: to send it again after the world's failures, never again
        after a bug, because the same bytes would meet the same bug."""
        culprit = self._blame(error)
        self._failed.value += batch.items
        self._telemetry.counter("heliograph_component_errors", component=culprit).value += 1
        again = passing(error)
        fate = "stay with their sender" if again else "are lost"
        message = f"{culprit} failed on {batch.items} items, which {fate}: {error!r}"
        self._say.error(("broken", culprit), message, caught=error)
        return again or Reject(f"internal error in {culprit}", INTERNAL)


_RECEIVED = ("accepted", "refused", "failed")


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
