"""What becomes of data while a backend is away: the second table of docs/guide/delivery.md.

``pytest -n 0 tests/pipeline/test_outage.py --update`` writes it. Time is a fake clock's, so that a
day passes in a moment.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from journals import FakeJournal

from heliograph.errors import Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline import sending
from heliograph.pipeline.component import Kind
from heliograph.pipeline.delivery import Delivery, DeliveryConfig
from heliograph.pipeline.telemetry import Telemetry
from heliograph.testing import FakeClock, settings, traces

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "delivery.md"
START, END = "<!-- outage -->\n", "<!-- /outage -->\n"
MODES: dict[str, dict[str, Any] | None] = {
    "delivered": None,
    "spill": {"spill_after": "240s"},
    "journal first": {"spill_after": "0s"},
    "memory": {"acknowledge": "memory", "queue_size": 10},
}
OUTAGES = {"a minute": 60, "an hour": 3600, "a day": 86_400}
SENT = 24
"""Batches that are sent during an outage, evenly."""


class Backend:
    """Away, or not."""

    signals = frozenset({Signal.TRACES})
    away = True

    def __init__(self) -> None:
        self.items = 0

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def consume(self, batch: Batch) -> None:
        if self.away:
            raise Retry("away")
        self.items += batch.items


async def outcome(queue: dict[str, Any] | None, seconds: int) -> str:
    """Send during an outage; return the table's cell."""
    backend, clock = Backend(), FakeClock()
    journal: Any = None if queue is None else FakeJournal(clock)
    given = settings("out", Kind.EXPORTER, clock=clock, telemetry=Telemetry())
    config = DeliveryConfig.model_validate(
        {
            "timeout": "240s",
            "sending_queue": queue or {},
            "retry_on_failure": {"initial_interval": "10s", "randomization_factor": 0},
        }
    )
    delivery = Delivery(backend, config, given, journal)
    await delivery.start()
    senders = []
    for _ in range(SENT):
        senders.append(asyncio.create_task(delivery.consume(traces(1))))
        await clock.advance(seconds / SENT)
    backend.away = False
    await clock.advance(1200)
    told = await asyncio.gather(*senders, return_exceptions=True)
    kept_by_senders = sum(isinstance(error, Retry) for error in told)
    accepted = SENT - kept_by_senders
    assert backend.items == accepted, "what was accepted has to arrive"
    await delivery.stop()
    if queue is None:
        assert kept_by_senders > SENT // 2, "only whoever comes in the last seconds can wait"
        return "senders keep it"
    return "waits up to queue_size; then senders keep it" if kept_by_senders else "waits, arrives"


async def test_the_table_is_true(update: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"| mode | {' | '.join(OUTAGES)} |", f"|---|{'---|' * len(OUTAGES)}"]
    for mode, queue in MODES.items():
        if queue is not None:  # a day of quarter seconds would take a minute
            monkeypatch.setattr(sending, "TICK", 60.0)
        cells = [await outcome(queue, seconds) for seconds in OUTAGES.values()]
        lines.append(f"| {mode} | {' | '.join(cells)} |")
    wanted = "\n".join(lines) + "\n"
    head, _, rest = GUIDE.read_text().partition(START)
    found, _, tail = rest.partition(END)
    if update:
        GUIDE.write_text(head + START + wanted + END + tail)
        return
    assert found == wanted
