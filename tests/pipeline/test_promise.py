"""Whatever happens: what a sender was told is accepted has been delivered, to every exporter."""

from __future__ import annotations

import asyncio
import re
from typing import ClassVar

from graphs import World
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from heliograph.errors import Reject, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.delivery import DeliveryConfig
from heliograph.processors import batch as batching
from heliograph.testing import FakeClock, logs, settle

OUTCOMES = st.sampled_from(["ok", "slow", "hang", "retry", "later", "reject", "bug"])
ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 4)),
    st.tuples(st.just("cancel"), st.integers(0, 40)),
    st.tuples(st.just("pass"), st.sampled_from([0.01, 0.3, 1.0, 3.0])),
)


class Backend:
    """Does what its script says, then succeeds."""

    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.LOGS})
    script: ClassVar[list[str]] = []
    clock: ClassVar[FakeClock]
    got: ClassVar[dict[str, set[str]]] = {}

    def __init__(self, config: DeliveryConfig, settings: object) -> None:
        self.mine = self.got.setdefault(str(getattr(settings, "id", "")), set())

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def consume(self, batch: Batch) -> None:
        outcome = self.script.pop() if self.script else "ok"
        if outcome == "slow":
            await self.clock.sleep(0.5)
        elif outcome == "hang":
            await asyncio.Event().wait()
        elif outcome == "retry":
            raise Retry("busy")
        elif outcome == "later":
            raise Retry("throttled", after=2)
        elif outcome == "reject":
            raise Reject("bad")
        elif outcome == "bug":
            raise KeyError("bug")
        self.mine |= bodies(batch)


def bodies(batch: Batch) -> set[str]:
    return set(re.findall(r"<\d+> \d+", bytes(batch.wire()).decode("latin-1")))


DELIVERY = DeliveryConfig.model_validate(
    {
        "timeout": "1s",
        "retry_on_failure": {"initial_interval": "300ms"},
        "sending_queue": {"num_consumers": 2, "queue_size": 5},
    }
)
MERGING = DELIVERY.model_validate(
    {
        "timeout": "1s",
        "retry_on_failure": {"enabled": False},
        "sending_queue": {"num_consumers": 1, "batch": {"flush_timeout": "1s", "min_size": 6}},
    }
)


async def play(script: list[str], actions: list[tuple[str, float]]) -> None:
    clock = FakeClock()
    Backend.script, Backend.clock, Backend.got = list(script), clock, {}
    batch = batching.Config.model_validate({"timeout": "500ms", "send_batch_size": 6})
    world = World(
        {"logs": ("in", "batch", "a b"), "logs/plain": ("in", "", "b")},
        classes={
            "exporters.a": (Backend, DELIVERY),
            "exporters.b": (Backend, MERGING),
            "processors.batch": (batching.Processor, batch),
        },
        clock=clock,
    )
    async with world:
        senders: list[tuple[set[str], asyncio.Task[None]]] = []
        for action, value in actions:
            if action == "send":
                request = logs(int(value), body=f"<{len(senders)}>")
                sender = asyncio.create_task(world.send(request))
                senders.append((bodies(request), sender))
                await settle(2)
            elif action == "cancel":
                if value < len(senders):
                    senders[int(value)][1].cancel()
            else:
                await clock.advance(value)
        await clock.advance(60)
        outcomes = await asyncio.gather(*(s for _, s in senders), return_exceptions=True)
        for (sent, _), outcome in zip(senders, outcomes, strict=True):
            allowed = (Retry, Reject, asyncio.CancelledError)
            assert outcome is None or isinstance(outcome, allowed)
            if outcome is None:
                assert all(sent <= got for got in Backend.got.values())
        telemetry = world.graph.telemetry
        assert telemetry.value("otelcol_exporter_queue_size") == 0
        assert telemetry.value("otelcol_exporter_in_flight_requests") == 0
        Backend.script.clear()
        await clock.advance(60)
        await world.send(logs(1, body="<999>"))
    assert all("<999> 0" in got for got in Backend.got.values())


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OUTCOMES, max_size=25), st.lists(ACTIONS, min_size=5, max_size=40))
def test_accepted_means_delivered(script: list[str], actions: list[tuple[str, float]]) -> None:
    asyncio.run(play(script, actions))
