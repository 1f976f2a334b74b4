"""Delivery with a journal: what is acknowledged is delivered, or kept until it is."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from journals import FakeJournal

from heliograph.errors import Reject, Retry, TooLarge
from heliograph.otlp import Batch, Context, Signal
from heliograph.pipeline.component import Kind
from heliograph.pipeline.delivery import Delivery, DeliveryConfig
from heliograph.pipeline.telemetry import Telemetry
from heliograph.testing import FakeClock, Sink, settings, settle, traces

QUICK = {"initial_interval": "1s", "randomization_factor": 0}


class Backend(Sink):
    """An exporter whose attempts can be told to hang."""

    signals = frozenset({Signal.TRACES})
    most = 1 << 30
    """Items that it takes at a time."""

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def consume(self, batch: Batch) -> None:
        if batch.items > self.most:
            self.tried.append(batch)
            raise TooLarge("larger than max")
        await super().consume(batch)


class Rig:
    """A started delivery on a fake clock, with a fake journal."""

    def __init__(self, backend: Backend | None = None, kept: Any = None, **config: Any) -> None:
        self.backend = backend or Backend()
        self.clock = FakeClock()
        self.telemetry = Telemetry()
        self.journal: Any = FakeJournal(self.clock, kept)
        parsed = DeliveryConfig.model_validate(config)
        given = settings("out", Kind.EXPORTER, clock=self.clock, telemetry=self.telemetry)
        self.delivery = Delivery(self.backend, parsed, given, self.journal)
        self.senders: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Rig:
        await self.delivery.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for sender in self.senders:
            sender.cancel()
        await asyncio.gather(*self.senders, return_exceptions=True)
        self.backend.open()
        await self.delivery.stop()
        self.adds_up()

    def send(self, batch: Batch | None = None) -> asyncio.Task[None]:
        sender = asyncio.create_task(self.delivery.consume(batch or traces()))
        self.senders.append(sender)
        return sender

    def value(self, name: str, **labels: str) -> float:
        return self.telemetry.value(name, exporter="out", **labels)

    def adds_up(self) -> None:
        taken = self.value("heliograph_exporter_received_spans")
        taken += self.value("heliograph_exporter_restored_spans")
        left = sum(
            self.value(name)
            for name in (
                "otelcol_exporter_sent_spans",
                "heliograph_exporter_dropped_spans",
                "heliograph_exporter_returned_spans",
                "heliograph_exporter_waiting_items",
            )
        )
        assert taken == left


async def test_healthy_traffic_never_touches_the_journal() -> None:
    async with Rig() as rig:
        await rig.delivery.consume(traces(3))
        assert rig.backend.items == 3
        assert rig.journal.appended == []


async def test_what_takes_too_long_is_journaled_and_delivered_once() -> None:
    async with Rig() as rig:
        rig.backend.close()
        sender = rig.send(traces(2))
        await rig.clock.advance(0.9)
        assert not sender.done()
        await rig.clock.advance(0.4)
        await sender
        assert [batch.items for batch in rig.journal.appended] == [2]
        assert rig.value("heliograph_exporter_waiting_items") == 2
        rig.backend.open()
        await settle()
        assert len(rig.backend.tried) == len(rig.backend.batches) == 1
        assert not rig.journal.kept


async def test_what_fails_is_journaled_and_acknowledged() -> None:
    async with Rig(Backend([Retry("away")] * 2), retry_on_failure=QUICK) as rig:
        batches = [traces(1), traces(2)]
        await rig.delivery.consume(batches[0])
        await rig.delivery.consume(batches[1])
        assert rig.journal.waiting + len(rig.journal.taken) == 2
        assert rig.backend.batches == []
        await rig.clock.advance(10)
        assert rig.backend.items == 3
        assert not rig.journal.kept


async def test_while_it_fails_one_record_asks() -> None:
    backend = Backend([Retry("down")] * 1000)
    async with Rig(backend, retry_on_failure=QUICK | {"max_interval": "1s"}) as rig:
        for _ in range(50):
            await rig.delivery.consume(traces())
        await rig.clock.advance(10)
        assert len(backend.tried) <= 13
        assert len(rig.journal.kept) == 50
        assert rig.value("heliograph_exporter_oldest_seconds") == pytest.approx(10, abs=0.1)


async def test_all_is_delivered_soon_after_a_long_outage() -> None:
    """Whoever asks does so often, and what has failed often need not wait longer than others."""
    down = [True]
    backend = Backend(Retry("down") if down else None for _ in itertools.count())
    async with Rig(backend, retry_on_failure={"randomization_factor": 0}) as rig:
        for _ in range(50):
            await rig.delivery.consume(traces())
        await rig.clock.advance(120)
        assert 20 < len(backend.tried) < 30
        down.clear()
        await rig.clock.advance(5)
        await settle(200)
        assert backend.items == 50 * traces().items
        assert not rig.journal.kept


async def test_a_failure_after_the_spill_is_tried_again() -> None:
    backend = Backend([Retry("away")])
    async with Rig(backend, retry_on_failure=QUICK) as rig:
        backend.close()
        await asyncio.gather(rig.send(traces(2)), rig.clock.advance(1.3))
        backend.open()
        await settle()
        assert len(rig.journal.kept) == 1
        await rig.clock.advance(2)
        assert backend.items == 2
        assert len(backend.tried) == 2


async def test_a_rejection_after_the_spill_is_counted() -> None:
    backend = Backend([Reject("bad")])
    async with Rig(backend) as rig:
        backend.close()
        await asyncio.gather(rig.send(traces(2)), rig.clock.advance(1.3))
        backend.open()
        await settle()
        assert not rig.journal.kept
        assert rig.value("heliograph_exporter_dropped_spans", reason="rejected") == 2


async def test_a_rejection_in_time_goes_to_the_sender() -> None:
    async with Rig(Backend([Reject("bad")])) as rig:
        with pytest.raises(Reject):
            await rig.delivery.consume(traces(2))
        assert rig.value("heliograph_exporter_dropped_spans", reason="rejected") == 2
        assert rig.journal.appended == []


async def test_the_attempt_ends_while_the_journal_is_written() -> None:
    async with Rig() as rig:
        rig.backend.close()
        rig.journal.stall()
        sender = rig.send(traces(2))
        await rig.clock.advance(1.3)
        assert not sender.done()
        rig.backend.open()
        await settle()
        rig.journal.go_on()
        await sender
        await settle()
        assert not rig.journal.kept
        assert len(rig.backend.tried) == 1


async def test_when_behind_batches_go_to_the_journal_at_once() -> None:
    async with Rig(timeout="0s", sending_queue={"num_consumers": 2}) as rig:
        rig.backend.close()
        first = [rig.send(traces(1)) for _ in range(4)]
        await rig.clock.advance(1.3)
        await asyncio.gather(*first)
        assert rig.journal.waiting == 2
        await rig.delivery.consume(traces(5))
        assert rig.journal.waiting == 3
        rig.backend.open()
        await settle(60)
        assert rig.backend.items == 9
        assert len(rig.backend.tried) == 5


async def test_a_nearer_deadline_spills_earlier() -> None:
    async with Rig(timeout="0s") as rig:
        rig.backend.close()
        sender = rig.send(traces(context=Context(deadline=1.5)))
        await rig.clock.advance(0.8)
        await sender


async def test_journal_first_where_asked() -> None:
    async with Rig(sending_queue={"spill_after": "0s", "num_consumers": 1}) as rig:
        rig.backend.close()
        await rig.delivery.consume(traces(1))
        await rig.delivery.consume(traces(2))
        assert [batch.items for batch in rig.journal.appended] == [1, 2]
        assert rig.journal.packed == [False, False]
        rig.backend.open()
        await settle(40)
        assert rig.backend.items == 3
        assert not rig.journal.kept


async def test_what_an_earlier_process_left_is_delivered() -> None:
    async with Rig(kept={1: traces(2), 2: traces(3)}) as rig:
        await settle(40)
        assert [batch.items for batch in rig.backend.batches] == [2, 3]
        assert rig.value("heliograph_exporter_restored_spans") == 5


@pytest.mark.parametrize("why", ["full", "broken"])
async def test_a_journal_that_takes_nothing_leaves_it_with_the_sender(why: str) -> None:
    async with Rig(Backend([Retry("away")])) as rig:
        setattr(rig.journal, why, True)
        with pytest.raises(Retry, match="away"):
            await rig.delivery.consume(traces(2))
        assert rig.value("heliograph_exporter_returned_spans") == 2


async def test_a_full_journal_and_a_slow_exporter() -> None:
    async with Rig(timeout="0s") as rig:
        rig.journal.full = True
        rig.backend.close()
        sender = rig.send(traces(2))
        await rig.clock.advance(4)
        assert not sender.done()
        await rig.clock.advance(1.3)
        with pytest.raises(Retry, match="full"):
            await sender
        rig.backend.open()
        await settle()
        assert rig.backend.batches == []


async def test_queue_size_bounds_the_journal_where_it_is_written() -> None:
    backend = Backend([Retry("down")] * 9)
    retry = {"initial_interval": "20s", "randomization_factor": 0}
    queue = {"queue_size": 3, "sizer": "items"}
    async with Rig(backend, retry_on_failure=retry, sending_queue=queue) as rig:
        await rig.delivery.consume(traces(3))
        with pytest.raises(Retry):
            await rig.delivery.consume(traces(3))
        assert len(rig.journal.kept) == 1


async def test_expires_only_where_it_is_written() -> None:
    backend = Backend([Retry("down")] * 99)
    retry = QUICK | {"max_interval": "1s", "max_elapsed_time": "5s"}
    async with Rig(backend, retry_on_failure=retry) as rig:
        await rig.delivery.consume(traces(2))
        await rig.clock.advance(8)
        assert not rig.journal.kept
        assert rig.value("heliograph_exporter_dropped_spans", reason="expired") == 2


async def test_what_is_too_large_is_cut_until_it_fits() -> None:
    backend = Backend()
    backend.most = 3
    async with Rig(backend) as rig:
        await rig.delivery.consume(traces(8))
        assert [batch.items for batch in backend.batches] == [2, 2, 2, 2]
        backend.most = 0
        await rig.delivery.consume(traces(2))
        assert rig.value("heliograph_exporter_dropped_spans", reason="too_large") == 2
        with pytest.raises(Reject):
            await rig.delivery.consume(traces(1))


async def test_parts_that_were_delivered_are_not_sent_again() -> None:
    backend = Backend([None, Retry("away")])
    backend.most = 4
    async with Rig(backend, retry_on_failure=QUICK) as rig:
        await rig.delivery.consume(traces(8))
        await rig.clock.advance(10)
        assert [batch.items for batch in backend.batches] == [4, 4]


async def test_partial_success_counts_what_was_taken() -> None:
    class Partial(Backend):
        async def consume(self, batch: Batch) -> int:  # type: ignore[override]
            return 2

    async with Rig(Partial()) as rig:
        await rig.delivery.consume(traces(5))
        assert rig.value("otelcol_exporter_sent_spans") == 3
        rig.telemetry.items("heliograph_exporter_dropped_{}", exporter="out", reason="x")[
            Signal.TRACES
        ].value += 2


async def test_stop_leaves_what_is_not_delivered_in_the_journal() -> None:
    async with Rig(timeout="0s") as rig:
        rig.backend.close()
        await asyncio.gather(rig.send(traces(2)), rig.clock.advance(1.3))
        stopping = asyncio.create_task(rig.delivery.stop())
        await settle()
        for task in rig.delivery._way._tasks:  # the wait for attempts in flight is in real time
            task.cancel()
        await stopping
        assert len(rig.journal.kept) == 1
        assert not rig.journal.taken


async def test_stop_lets_what_comes_from_the_journal_arrive() -> None:
    backend = Backend()
    backend.close()
    async with Rig(backend, kept={1: traces(2)}, timeout="0s") as rig:
        await settle()
        stopping = asyncio.create_task(rig.delivery.stop())
        await settle()
        assert not stopping.done()
        backend.open()
        await stopping
        assert backend.items == 2
        assert not rig.journal.kept


class TestMemory:
    """``acknowledge: memory``."""

    CONFIG: dict[str, Any] = {  # noqa: RUF012 - read only
        "sending_queue": {"acknowledge": "memory", "queue_size": 2},
        "retry_on_failure": QUICK,
    }

    async def test_acknowledged_before_it_is_delivered(self) -> None:
        async with Rig(**self.CONFIG) as rig:
            rig.backend.close()
            await rig.delivery.consume(traces(2))
            assert rig.value("heliograph_exporter_waiting_items") == 2
            rig.backend.open()
            await settle()
            assert rig.backend.items == 2
            assert rig.value("heliograph_exporter_waiting_items") == 0

    async def test_bounded(self) -> None:
        async with Rig(Backend([Retry("down")] * 99), **self.CONFIG) as rig:
            await rig.delivery.consume(traces(1))
            await rig.delivery.consume(traces(1))
            with pytest.raises(Retry, match="too much waits"):
                await rig.delivery.consume(traces(1))
            assert rig.value("otelcol_exporter_enqueue_failed_spans") == 1

    async def test_tried_until_it_is_delivered(self) -> None:
        async with Rig(Backend([Retry("down")] * 3), **self.CONFIG) as rig:
            await rig.delivery.consume(traces(1))
            await rig.clock.advance(20)
            assert rig.backend.items == 1

    @pytest.mark.parametrize("journal", [True, False])
    async def test_the_end_of_the_process(
        self, journal: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("heliograph.pipeline.remembered.LAST", 0.01)
        rig = Rig(Backend([Retry("down")] * 99), **self.CONFIG)
        rig.journal.full = not journal
        async with rig:
            await rig.delivery.consume(traces(2))
        if journal:
            assert [record.batch.items for record in rig.journal.kept.values()] == [2]
        else:
            assert rig.value("heliograph_exporter_dropped_spans", reason="shutdown") == 2
            assert "2 items" in caplog.records[-1].getMessage()


async def test_what_the_one_before_leaves_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.pipeline.remembered.LAST", 0.01)
    async with Rig(Backend([Retry("down")] * 99), **TestMemory.CONFIG) as rig:
        await rig.delivery.consume(traces(2))
        backend = Backend()
        given = settings("out", Kind.EXPORTER, clock=rig.clock, telemetry=rig.telemetry)
        after = Delivery(backend, DeliveryConfig(), given, rig.journal)
        await after.start()
        await settle()
        await rig.delivery.stop()
        await settle()
        assert backend.items == 2
        await after.stop()


@pytest.mark.parametrize(
    "config",
    [
        {"sending_queue": {"wait_for_result": True}},
        {"sending_queue": {"enabled": False}},
        {"retry_on_failure": {"enabled": False}},
    ],
    ids=str,
)
async def test_ways_without_a_journal(config: dict[str, Any]) -> None:
    async with Rig(Backend([Retry("down", after=60)]), **config) as rig:
        with pytest.raises(Retry):
            await rig.delivery.consume(traces())
        assert rig.journal.appended == []
        assert rig.delivery.promise == "delivered"


PASSING = ["ok", "retry", "later", "slow", "hang"]
SCRIPTS = st.one_of(
    st.lists(st.sampled_from(PASSING)), st.lists(st.sampled_from([*PASSING, "reject", "bug"]))
)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 4)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("pass"), st.sampled_from([0.01, 0.3, 1.1, 4.0])),
        st.tuples(st.just("full"), st.booleans()),
    ),
    max_size=25,
)


class Scripted(Backend):
    """Does what its script says, then succeeds."""

    def __init__(self, script: list[str]) -> None:
        super().__init__()
        self.script = script
        self.clock = FakeClock()

    async def consume(self, batch: Batch) -> None:
        outcome = self.script.pop() if self.script else "ok"
        if outcome == "slow":
            await self.clock.sleep(2.5)
        elif outcome == "hang":
            await asyncio.Event().wait()
        elif outcome in ("retry", "later"):
            raise Retry("busy", after=2 if outcome == "later" else None)
        elif outcome == "reject":
            raise Reject("bad")
        elif outcome == "bug":
            raise KeyError("bug")
        self.batches.append(batch)


@given(
    script=SCRIPTS,
    actions=ACTIONS,
    queue=st.sampled_from(
        [{}, {"spill_after": "0s"}, {"num_consumers": 1}, {"acknowledge": "memory"}]
    ),
)
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_accepted_is_delivered_or_counted(
    script: list[str], actions: list[tuple[str, Any]], queue: dict[str, Any]
) -> None:
    asyncio.run(_play(script, actions, queue))


async def _play(script: list[str], actions: list[tuple[str, Any]], queue: dict[str, Any]) -> None:
    backend = Scripted(list(script))
    rig = Rig(backend, timeout="2s", retry_on_failure=QUICK, sending_queue=queue)
    backend.clock = rig.clock
    sent: dict[str, asyncio.Task[None]] = {}
    async with rig:
        for action, value in actions:
            if action == "send":
                name = f"<{len(sent)}>"
                sent[name] = rig.send(traces(value, name=name))
            elif action == "cancel" and value < len(sent):
                list(sent.values())[value].cancel()
            elif action == "full":
                rig.journal.full = value
            elif action == "pass":
                await rig.clock.advance(value)
            await settle()
        rig.journal.full = False
        backend.script.clear()
        await rig.clock.advance(120)
        outcomes = dict(
            zip(sent, await asyncio.gather(*sent.values(), return_exceptions=True), strict=True)
        )
        assert not rig.journal.kept
        got = [bytes(batch.wire()).decode("latin-1") for batch in backend.batches]
        lost = rig.value("heliograph_exporter_dropped_spans")
        missing = [
            name
            for name, outcome in outcomes.items()
            if outcome is None and not any(name in text for text in got)
        ]
        assert bool(lost) or not missing
        counted = rig.value("otelcol_exporter_sent_spans")
        assert counted == sum(batch.items for batch in backend.batches)


async def test_an_exporter_that_leaves_takes_only_its_own_failure_with_it() -> None:
    rig = Rig(Backend([Retry("away")] * 9), retry_on_failure=QUICK)
    async with rig:
        await rig.delivery.consume(traces())
        theirs = rig.telemetry.failing["out"] = replace(rig.telemetry.failing["out"])
    assert rig.telemetry.failing == {"out": theirs}
    rig = Rig(Backend([Retry("away")] * 9), retry_on_failure=QUICK)
    async with rig:
        await rig.delivery.consume(traces())
        assert rig.telemetry.failing
    assert not rig.telemetry.failing


@pytest.mark.parametrize("rounds", range(8))
async def test_what_is_taken_in_the_moment_of_the_end_waits_again(rounds: int) -> None:
    async with Rig(kept={id: traces(1) for id in range(1, 4)}) as rig:
        rig.backend.close()
        await settle(rounds)
        await rig.delivery.stop()
        assert not rig.journal.taken
        assert len(rig.journal.kept) == 3
