"""What became of an exporter's batches: counted, said sparingly, and kept for the health page."""

from __future__ import annotations

from heliograph.errors import Reject, Retry
from heliograph.otlp import Batch
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


class Outcomes:
    """The record of one exporter."""

    def __init__(self, settings: Settings) -> None:
        self._name = str(settings.id)
        self._now = settings.clock.monotonic
        self._telemetry = telemetry = settings.telemetry
        self._say = Sparingly(settings.log, self._now)
        self._sent = telemetry.items("otelcol_exporter_sent_{}", exporter=self._name)
        self._failed = telemetry.items("otelcol_exporter_send_failed_{}", exporter=self._name)
        self._refused = telemetry.items("otelcol_exporter_enqueue_failed_{}", exporter=self._name)
        self.failing: Failure | None = None

    def sent(self, batch: Batch) -> None:
        """The other side has acknowledged."""
        self._sent[batch.signal].value += batch.items
        if self.failing is not None:
            lasted = self._now() - self.failing.since
            self.failing = None
            self._telemetry.failing.pop(self._name, None)
            self._say.warning("delivering", f"delivers again, after {lasted:.1f} s")

    def transient(self, reason: str) -> None:
        """An attempt failed; the data is still with us or with its sender."""
        if self.failing is None:
            self.failing = self._telemetry.failing[self._name] = Failure(self._now(), reason)
            self._say.warning("failing", f"cannot deliver, senders keep their data: {reason}")
        else:
            self.failing.reason = reason
            self.failing.attempts += 1

    def sent_back(self, batch: Batch) -> None:
        """Attempts failed, and the sender was told to try again."""
        self._failed[batch.signal].value += batch.items

    def refused(self, batch: Batch) -> None:
        """There was no room, and the sender was told to try again."""
        self._refused[batch.signal].value += batch.items

    def rejected(self, batch: Batch, error: Reject) -> None:
        """The other side will never take it."""
        self._dropped(batch, "rejected")
        self._say.error("rejected", f"the other side rejected {batch.items} items: {error.reason}")

    def broken(self, batch: Batch, error: Exception) -> Reject:
        """The exporter has a bug; return what its caller raises."""
        self._dropped(batch, "internal_error")
        self._say.error("broken", f"failed on {batch.items} items: {error!r}", caught=error)
        return Reject(f"internal error in exporter {self._name}", INTERNAL)

    def _dropped(self, batch: Batch, reason: str) -> None:
        self._failed[batch.signal].value += batch.items
        dropped = self._telemetry.items(
            "heliograph_exporter_dropped_{}", exporter=self._name, reason=reason
        )
        dropped[batch.signal].value += batch.items
