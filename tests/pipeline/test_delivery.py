"""What stands around an exporter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from heliograph.errors import Reject, Retry
from heliograph.otlp import Batch, Context, Signal
from heliograph.pipeline import sending
from heliograph.pipeline.component import Kind
from heliograph.pipeline.delivery import PATIENCE, Delivery, DeliveryConfig
from heliograph.pipeline.telemetry import Telemetry
from heliograph.testing import FakeClock, Sink, settings, settle, traces


class Backend(Sink):
    """An exporter whose attempts can be told to hang."""

    signals = frozenset({Signal.TRACES})

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""


class Rig:
    """A delivery on a fake clock."""

    def __init__(self, backend: Backend | None = None, **config: Any) -> None:
        self.backend = backend or Backend()
        self.clock = FakeClock()
        self.telemetry = Telemetry()
        parsed = DeliveryConfig.model_validate(config)
        given = settings("out", Kind.EXPORTER, clock=self.clock, telemetry=self.telemetry)
        self.delivery = Delivery(self.backend, parsed, given)
        self.senders: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Rig:
        return self

    async def __aexit__(self, *_: object) -> None:
        for sender in self.senders:
            sender.cancel()
        await asyncio.gather(*self.senders, return_exceptions=True)
        await self.delivery.stop()

    def send(self, batch: Batch | None = None) -> asyncio.Task[None]:
        sender = asyncio.create_task(self.delivery.consume(batch or traces()))
        self.senders.append(sender)
        return sender

    def value(self, name: str, **labels: str) -> float:
        return self.telemetry.value(name, exporter="out", **labels)


QUICK = {"initial_interval": "1s", "randomization_factor": 0}


async def test_delivered_at_once_when_all_is_well() -> None:
    async with Rig() as rig:
        await rig.delivery.consume(traces(3))
        assert rig.backend.items == 3
        assert rig.value("otelcol_exporter_sent_spans") == 3
        assert rig.value("otelcol_exporter_in_flight_requests") == 0


async def test_so_many_in_flight_and_the_rest_in_order() -> None:
    async with Rig(sending_queue={"num_consumers": 2}) as rig:
        rig.backend.close()
        batches = [traces(n) for n in (1, 2, 3, 4)]
        senders = [rig.send(batch) for batch in batches]
        await settle()
        assert rig.backend.tried == batches[:2]
        assert rig.value("otelcol_exporter_queue_size") == sum(b.nbytes for b in batches[2:])
        rig.backend.open()
        await asyncio.gather(*senders)
        assert rig.backend.batches == batches
        assert rig.value("otelcol_exporter_queue_size") == 0


async def test_without_a_queue_everybody_goes_through() -> None:
    async with Rig(sending_queue={"enabled": False}) as rig:
        rig.backend.close()
        for _ in range(50):
            rig.send()
        await settle()
        assert len(rig.backend.tried) == 50


async def test_the_waiting_room_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sending.ROOM == 64 * 2**20
    monkeypatch.setattr(sending, "ROOM", 64_000)
    async with Rig(sending_queue={"num_consumers": 1}) as rig:
        rig.backend.close()
        rig.send()
        waiting = [rig.send(traces(1, padding=40_000)), rig.send(traces(1, padding=40_000))]
        await settle()
        assert not waiting[0].done()
        with pytest.raises(Retry, match="too much waits"):
            await waiting[1]
        assert rig.value("otelcol_exporter_enqueue_failed_spans") == 1


@pytest.mark.parametrize(
    ("sizer", "fitting"), [("requests", 5), ("items", 2), ("bytes", 1)], ids=str
)
async def test_queue_size_where_written(sizer: str, fitting: int) -> None:
    size = 5 if sizer != "bytes" else traces(2).nbytes
    queue = {"num_consumers": 1, "queue_size": size, "sizer": sizer}
    async with Rig(sending_queue=queue) as rig:
        rig.backend.close()
        rig.send(traces(2))
        waiting = [rig.send(traces(2)) for _ in range(7)]
        await settle()
        assert [sender.done() for sender in waiting] == [n >= fitting for n in range(7)]


async def test_block_on_overflow_lets_them_wait() -> None:
    queue = {"num_consumers": 1, "queue_size": 1, "block_on_overflow": True}
    async with Rig(sending_queue=queue) as rig:
        rig.backend.close()
        senders = [rig.send() for _ in range(4)]
        await settle()
        assert not any(sender.done() for sender in senders)
        rig.backend.open()
        await asyncio.gather(*senders)


async def test_nobody_waits_for_a_slot_longer_than_patience() -> None:
    async with Rig(timeout="0s", sending_queue={"num_consumers": 1}) as rig:
        rig.backend.close()
        rig.send()
        waiting = rig.send()
        await rig.clock.advance(PATIENCE - 0.5)
        assert not waiting.done()
        await rig.clock.advance(1)
        with pytest.raises(Retry, match="busy"):
            await waiting
        rig.backend.open()
        await settle()
        assert len(rig.backend.batches) == 1


async def test_a_senders_deadline_may_be_nearer() -> None:
    async with Rig(timeout="0s", sending_queue={"num_consumers": 1}) as rig:
        rig.backend.close()
        rig.send()
        waiting = rig.send(traces(context=Context(deadline=2.0)))
        await rig.clock.advance(1.7)
        assert not waiting.done()
        await rig.clock.advance(0.5)
        with pytest.raises(Retry, match="busy"):
            await waiting


async def test_an_attempt_ends_at_its_time_out() -> None:
    async with Rig(timeout="1s", retry_on_failure={"enabled": False}) as rig:
        rig.backend.close()
        sender = rig.send()
        await rig.clock.advance(0.9)
        assert not sender.done()
        await rig.clock.advance(0.35)
        with pytest.raises(Retry, match="no answer within 1 s"):
            await sender
        rig.backend.open()
        await rig.delivery.consume(traces(2))
        assert rig.backend.items == 2
        assert not rig.telemetry.failing


async def test_tries_again_while_the_sender_waits() -> None:
    backend = Backend([Retry("away"), Retry("away")])
    async with Rig(backend, retry_on_failure=QUICK) as rig:
        sender = rig.send(batch := traces(2))
        await settle()
        assert rig.telemetry.failing["out"].reason == "away"
        await rig.clock.advance(0.9)
        assert len(backend.tried) == 1
        await rig.clock.advance(0.2)
        assert len(backend.tried) == 2
        await rig.clock.advance(2)
        await sender
        assert backend.batches == [batch]
        assert not rig.telemetry.failing


async def test_the_sender_hears_at_once_when_the_next_attempt_is_too_far() -> None:
    backend = Backend([Retry("away")])
    retry = {"initial_interval": "10s", "randomization_factor": 0}
    async with Rig(backend, retry_on_failure=retry) as rig:
        with pytest.raises(Retry, match="away"):
            await rig.delivery.consume(traces(2))
        assert rig.value("otelcol_exporter_send_failed_spans") == 2
        await rig.delivery.consume(traces(2))


async def test_a_delay_that_the_other_side_names_holds_for_all() -> None:
    backend = Backend([Retry("throttled", after=60)])
    async with Rig(backend) as rig:
        with pytest.raises(Retry, match="throttled") as caught:
            await rig.delivery.consume(traces())
        assert caught.value.after == 60
        await rig.clock.advance(20)
        with pytest.raises(Retry, match="throttled") as caught:
            await rig.delivery.consume(traces())
        assert caught.value.after == 40
        assert len(backend.tried) == 1
        await rig.clock.advance(40)
        await rig.delivery.consume(traces())


async def test_a_backend_that_never_answers_well_is_not_asked_by_everybody() -> None:
    backend = Backend([Retry("down")] * 100)
    retry = {"initial_interval": "10s", "randomization_factor": 0}
    async with Rig(backend, retry_on_failure=retry) as rig:
        for _ in range(20):
            with pytest.raises(Retry, match="down"):
                await rig.delivery.consume(traces())
        assert len(backend.tried) == 2
        await rig.clock.advance(10)
        for _ in range(20):
            with pytest.raises(Retry, match="down"):
                await rig.delivery.consume(traces())
        assert len(backend.tried) == 3


async def test_without_retrying_every_request_is_tried_once() -> None:
    backend = Backend([Retry("down")] * 4)
    async with Rig(backend, retry_on_failure={"enabled": False}) as rig:
        for _ in range(4):
            with pytest.raises(Retry, match="down"):
                await rig.delivery.consume(traces())
        assert len(backend.tried) == 4
        await rig.delivery.consume(traces())


async def test_gives_up_after_the_time_that_is_written() -> None:
    backend = Backend([Retry("down")] * 9)
    retry = {"initial_interval": "1s", "randomization_factor": 0, "multiplier": 1}
    retry |= {"max_interval": "1s", "max_elapsed_time": "2500ms"}
    async with Rig(backend, retry_on_failure=retry) as rig:
        sender = rig.send()
        await rig.clock.advance(2.1)
        with pytest.raises(Retry, match="down"):
            await sender
        assert len(backend.tried) == 3


@pytest.mark.parametrize("sizer", ["items", "bytes"])
async def test_merges_what_waits_where_asked_to(sizer: str) -> None:
    size = 3 * traces(1).nbytes if sizer == "bytes" else 3
    batch = {"min_size": size, "max_size": size, "sizer": sizer, "flush_timeout": "1s"}
    async with Rig(sending_queue={"batch": batch}) as rig:
        rig.backend.close()
        senders = [rig.send(traces(1)) for _ in range(4)]
        await settle()
        assert [b.items for b in rig.backend.tried] == [1, 3]
        rig.backend.open()
        await asyncio.gather(*senders)
        await rig.delivery.consume(traces(7))
        assert max(b.nbytes if sizer == "bytes" else b.items for b in rig.backend.batches) <= size
        assert rig.backend.items == 11


async def test_what_is_rejected_is_counted_and_said_sparingly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = Backend([Reject("bad span", code=3)] * 3)
    async with Rig(backend) as rig:
        for _ in range(3):
            with pytest.raises(Reject, match="bad span") as caught:
                await rig.delivery.consume(traces(2))
            assert caught.value.code == 3
        assert rig.value("heliograph_exporter_dropped_spans", reason="rejected") == 6
        assert rig.value("otelcol_exporter_send_failed_spans") == 6
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_bug_in_the_exporter_is_a_counted_rejection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Rig(Backend([KeyError("x")])) as rig:
        with pytest.raises(Reject, match="internal error in exporter out"):
            await rig.delivery.consume(traces(2))
        assert rig.value("heliograph_exporter_dropped_spans", reason="internal_error") == 2
        await rig.delivery.consume(traces())
    assert caplog.records[0].exc_info is not None


async def test_a_lost_connection_is_tried_again() -> None:
    backend = Backend([ConnectionResetError("by peer")])
    async with Rig(backend, retry_on_failure=QUICK) as rig:
        sender = rig.send()
        await rig.clock.advance(2)
        await sender
        assert len(backend.tried) == 2


async def test_a_cancelled_sender_takes_its_batch_with_it() -> None:
    async with Rig(sending_queue={"num_consumers": 1}) as rig:
        rig.backend.close()
        flying, waiting, next = rig.send(traces(1)), rig.send(traces(2)), rig.send(traces(3))
        await settle()
        waiting.cancel()
        flying.cancel()
        await settle()
        assert flying.cancelled()
        assert waiting.cancelled()
        rig.backend.open()
        await next
        assert [batch.items for batch in rig.backend.batches] == [3]
        assert rig.value("otelcol_exporter_queue_size") == 0


class Parting(Backend):
    """Ends its first attempt with a call that runs just before the slot's next owner."""

    def __init__(self) -> None:
        super().__init__()
        self.last_words: Callable[[], object] | None = None

    async def consume(self, batch: Batch) -> None:
        await super().consume(batch)
        if self.last_words is not None:
            asyncio.get_running_loop().call_soon(self.last_words)
            self.last_words = None


async def test_cancelled_in_the_moment_a_slot_is_handed_over() -> None:
    backend = Parting()
    async with Rig(backend, sending_queue={"num_consumers": 1}) as rig:
        backend.close()
        first, second, third = rig.send(traces(1)), rig.send(traces(2)), rig.send(traces(3))
        await settle()
        backend.last_words = second.cancel
        backend.open()
        await asyncio.gather(first, third)
        assert second.cancelled()
        assert [batch.items for batch in backend.batches] == [1, 3]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"retry_on_failure": {"max_elapsed_time": "10s"}}, "max_elapsed_time"),
        ({"sending_queue": {"storage": "s", "acknowledge": "memory"}}, "storage"),
        ({"sending_queue": {"storage": "s", "wait_for_result": True}}, "wait_for_result"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_a_problem(written: dict[str, Any], path: str) -> None:
    config = DeliveryConfig.model_validate(written)
    problems = [*config.retry_on_failure.check(), *config.sending_queue.check()]
    assert [problem.path for problem in problems] == [path]


def test_retrying_for_ever_is_the_default() -> None:
    assert DeliveryConfig().retry_on_failure.max_elapsed_time is None
    assert DeliveryConfig().timeout == 5
