"""What became of an exporter's batches: counted, said sparingly, and kept for the health page."""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.errors import Reject, Retry, TooLarge
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Settings
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import Failure

INTERNAL = 13
"""gRPC's code for a fault of ours."""


def passing(error: Exception) -> Retry | None:
    """Return what an exception means when it is the world's failure and no bug: try again.

    Network clients raise OSError (ConnectionError, TimeoutError and others derive from it).
    """
    return Retry(f"{type(error).__name__}: {error}") if isinstance(error, OSError) else None


class Broken(Reject):
    """A bug of ours: the same bytes would meet the same bug."""


class Outcomes:
    """The record of one exporter.

    What it was given is, item by item, delivered, dropped, sent back to its sender, or waits:
    ``heliograph_exporter_received + heliograph_exporter_restored = otelcol_exporter_sent +
    heliograph_exporter_dropped + heliograph_exporter_returned + heliograph_exporter_waiting``.
    """

    def __init__(self, settings: Settings) -> None:
        self._name = str(settings.id)
        self._now = settings.clock.monotonic
        self._telemetry = telemetry = settings.telemetry
        self._say = Sparingly(settings.log, self._now)
        self._received = telemetry.items("heliograph_exporter_received_{}", exporter=self._name)
        self._restored = telemetry.items("heliograph_exporter_restored_{}", exporter=self._name)
        self._sent = telemetry.items("otelcol_exporter_sent_{}", exporter=self._name)
        self._failed = telemetry.items("otelcol_exporter_send_failed_{}", exporter=self._name)
        self._refused = telemetry.items("otelcol_exporter_enqueue_failed_{}", exporter=self._name)
        self._returned = telemetry.items("heliograph_exporter_returned_{}", exporter=self._name)
        self._cuts = telemetry.counter("heliograph_exporter_cut_requests", exporter=self._name)
        self._spilled = telemetry.items("heliograph_exporter_journaled_{}", exporter=self._name)
        self._repeated = telemetry.items("heliograph_exporter_repeated_{}", exporter=self._name)
        self.failing: Failure | None = None

    def restored(self, items: Mapping[Signal, int]) -> None:
        """An earlier process left so many in the journal."""
        for signal, number in items.items():
            self._restored[signal].value += number

    def received(self, batch: Batch) -> None:
        """The exporter was given a batch."""
        self._received[batch.signal].value += batch.items

    def sent(self, batch: Batch, lost: int = 0) -> None:
        """The other side has it, all but ``lost`` items, which the exporter counts."""
        self._sent[batch.signal].value += batch.items - lost
        if self.failing is not None:
            lasted = self._now() - self.failing.since
            self.close()
            self._say.warning("delivering", f"delivers again, after {lasted:.1f} s")

    def close(self) -> None:
        """Nothing fails here any longer; after a reload another record may be that of the name."""
        if self._telemetry.failing.get(self._name) is self.failing:
            self._telemetry.failing.pop(self._name, None)
        self.failing = None

    def transient(self, reason: str, fate: str = "senders keep their data") -> None:
        """An attempt failed; the data is still with us or with its sender."""
        if self.failing is None:
            self.failing = self._telemetry.failing[self._name] = Failure(self._now(), reason)
            self._say.warning("failing", f"cannot deliver, {fate}: {reason}")
        else:
            self.failing.reason = reason
            self.failing.attempts += 1

    def returned(self, batch: Batch) -> None:
        """The sender was told to try again, or has gone; nothing of it is here."""
        self._returned[batch.signal].value += batch.items

    def sent_back(self, batch: Batch) -> None:
        """Attempts failed, and the sender was told to try again."""
        self._failed[batch.signal].value += batch.items

    def refused(self, batch: Batch) -> None:
        """There was no room, and the sender was told to try again."""
        self._refused[batch.signal].value += batch.items

    def journaled(self, batch: Batch) -> None:
        """The journal has it."""
        self._spilled[batch.signal].value += batch.items

    def unkept(self, reason: str) -> None:
        """The journal could not take a batch; its sender waits or keeps it."""
        self._say.warning("journal", f"the journal takes nothing more, senders wait: {reason}")

    def cut(self, batch: Batch, error: Reject) -> None:
        """The other side wants less at a time."""
        self._cuts.value += 1
        self._say.warning(
            "cut", f"{batch.items} items at a time are too many, sends half: {error.reason}"
        )

    def repeated(self, batch: Batch) -> None:
        """Items that the other side may have had already are sent again."""
        self._repeated[batch.signal].value += batch.items

    def rejected(self, batch: Batch, error: Reject) -> None:
        """The other side will never take it, or our code cannot."""
        if isinstance(error, Broken):
            return self.dropped(batch, "internal_error")
        reason = "too_large" if isinstance(error, TooLarge) else "rejected"
        self.dropped(batch, reason)
        what = f"the other side rejected {batch.items} items, which are lost: {error.reason}"
        return self._say.error("rejected", what)

    def expired(self, batch: Batch, age: float, reason: str) -> None:
        """``max_elapsed_time`` is over."""
        self.dropped(batch, "expired")
        what = f"{batch.items} items are dropped after {age:.0f} s (max_elapsed_time): {reason}"
        self._say.error("expired", what)

    def abandoned(self, batch: Batch) -> None:
        """The process ends, and nothing on disk takes what was acknowledged from memory."""
        self.dropped(batch, "shutdown")
        what = "what was acknowledged from memory is lost at the end of the process"
        self._say.error("shutdown", f"{what}: {batch.items} items")

    def broken(self, batch: Batch, error: Exception) -> Broken:
        """The exporter has a bug; return what its caller raises."""
        self._say.error("broken", f"failed on {batch.items} items: {error!r}", caught=error)
        return Broken(f"internal error in exporter {self._name}", INTERNAL)

    def dropped(self, batch: Batch, reason: str) -> None:
        """Count what is lost."""
        self._failed[batch.signal].value += batch.items
        self.given_up(batch.signal, batch.items, reason)

    def given_up(self, signal: Signal, items: int, reason: str) -> None:
        """Count what is lost without an attempt."""
        if items:
            dropped = self._telemetry.items(
                "heliograph_exporter_dropped_{}", exporter=self._name, reason=reason
            )
            dropped[signal].value += items
