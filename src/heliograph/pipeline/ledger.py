"""What goes into a processor and what becomes of it, in numbers that always add up.

::

    incoming + created + returned = outgoing + removed + refused + inside

``incoming`` and ``outgoing`` are handed over, taken or not; ``returned`` of the outgoing was not
taken by the next step; ``refused`` of the incoming went back to its sender because of that, or
because the sender had gone. What a processor turns away of its own accord, or does not pass on, is
``removed`` by reason. ``inside`` is what is being worked on, and 0 when nothing is.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable

from heliograph.errors import Reject, Retry
from heliograph.otlp import Signal
from heliograph.pipeline.telemetry import SIGNAL_NAMES, Counter, Telemetry

FILTERED = "filtered"
"""Why items are gone when a processor has not said."""

_DEPTH = 16


class Ledger:
    """The counts of one processor in one pipeline.

    What a processor does not explain is explained here: items that it did not pass on were removed
    as `FILTERED`, items that it passed on beyond what it got were created. While it works on
    several batches at once this may lag by as many items as those have.
    """

    __slots__ = (
        "_held", "_labels", "_telemetry", "created", "even", "incoming", "outgoing", "pending",
        "pipeline", "processor", "refused", "removed_by", "returned", "signal",
    )  # fmt: skip

    def __init__(
        self,
        telemetry: Telemetry | None = None,
        processor: str = "",
        signal: Signal | None = None,
        pipeline: str = "",
    ) -> None:
        self.signal = signal
        self.processor = processor
        self.pipeline = pipeline
        self._telemetry = telemetry or Telemetry()
        self._labels = {"processor": processor}
        if signal is not None:
            self._labels["otel.signal"] = SIGNAL_NAMES[signal]
        self.incoming = self._part("otelcol_processor_incoming_items")
        self.outgoing = self._part("otelcol_processor_outgoing_items")
        self.returned = self._part("heliograph_processor_returned_items")
        self.refused = self._part("heliograph_processor_refused_items")
        self.created = self._part("heliograph_processor_created_items")
        self.removed_by: dict[str, Counter] = {}
        self.pending = 0
        """Items of the batches that it works on."""
        self.even = 0
        """``incoming - outgoing`` when nothing is inside, as far as is known here."""
        self._held: Callable[[], int] = int

    def removed(self, reason: str) -> Counter:
        """Return the counter of items removed for a reason; the same one each time.

        Add to it when the next step has taken the rest of the batch: until then the sender may
        have to send all of it again.
        """
        found = self.removed_by.get(reason)
        if found is None:
            found = self._part("heliograph_processor_removed_items", reason=reason)
            self.removed_by[reason] = found
        return found

    def holds(self, read: Callable[[], int]) -> None:
        """Say how to read the number of items that are kept from one batch to the next."""
        self._held = read
        self._telemetry.gauge_part("heliograph_processor_held_items", read, **self._labels)

    @property
    def inside(self) -> int:
        """Items whose fate is open."""
        return self.incoming.value - self.outgoing.value - self._even()

    def settle(self) -> None:
        """Explain what nobody else has explained."""
        self.even = self._even()
        inside = self.incoming.value - self.outgoing.value - self.even
        gone = inside - self.pending - self._held()
        if gone > 0:
            self.removed(FILTERED).value += gone
            self.even += gone
        elif inside < 0:
            self.created.value -= inside
            self.even += inside

    def close(self) -> None:
        """Nobody counts here any longer; what was counted stays in the metrics."""
        parts = [self.incoming, self.outgoing, self.returned, self.refused, self.created]
        for part in (*parts, *self.removed_by.values()):
            self._telemetry.fold(part)

    def failed(self, items: int, error: BaseException) -> None:
        """The processor raised instead of taking these items."""
        self.pending -= items
        if isinstance(error, CancelledError):
            # Whatever of it is on its way onwards comes back, or arrives, in a moment.
            self.refused.value += items
            self.even += items
            return
        if self._came_back(error):
            self.refused.value += items
        else:
            self.removed(_reason(error)).value += items
        self.settle()

    def came_back(self, items: int, error: BaseException) -> None:
        """The next step raised instead of taking these items."""
        self.returned.value += items
        self.even -= items
        error.__dict__["came_back_to"] = self

    def _came_back(self, error: BaseException | None) -> bool:
        for _ in range(_DEPTH):
            if error is None:
                return False
            if error.__dict__.get("came_back_to") is self:
                return True
            error = error.__cause__ or error.__context__
        return False

    def _even(self) -> int:
        removed = sum(counter.value for counter in self.removed_by.values())
        return self.refused.value + removed - self.created.value - self.returned.value

    def _part(self, name: str, **labels: str) -> Counter:
        return self._telemetry.part(name, **self._labels, **labels)


def _reason(error: BaseException) -> str:
    if isinstance(error, Retry | OSError):
        return "refused"
    return "rejected" if isinstance(error, Reject) else "failed"
