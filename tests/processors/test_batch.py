"""Merging: decisions by step files, the shell with a fake clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden
import pytest

from heliograph.errors import Reject, Retry
from heliograph.otlp import Batch, Context, Signal
from heliograph.pipeline.batching import Core, Sizes
from heliograph.processors.batch import Config, Processor
from heliograph.testing import FakeClock, Sink, logs, settings, settle, traces

OUTPUTS = {"sends", "in_flight", "due", "left"}


def steps(written: Any) -> Callable[[golden.Step], golden.Step]:
    config = Config.model_validate(written)
    core: Core[str] = Core(
        Sizes(config.send_batch_size, config.send_batch_max_size, config.timeout)
    )

    def do(step: golden.Step) -> golden.Step:
        sends: list[list[str]] = []
        left = None
        for _ in range(step.get("lands", 0)):
            sends += core.landed()
        if "arrives" in step:
            sends += core.add(step["arrives"], step["items"], step["at"])
        elif "leaves" in step:
            left = core.remove(step["leaves"])
        else:
            sends += core.tick(step["at"])
        due = None if core.due is None else round(core.due, 6)
        return {"sends": sends, "in_flight": core.in_flight, "due": due, "left": left}

    return do


@pytest.mark.parametrize(
    "path", golden.files(Path(__file__).parent / "batch"), ids=lambda path: path.stem
)
def test_decisions(path: Path, update: bool) -> None:
    golden.check(path, OUTPUTS, steps, update)


class Rig:
    def __init__(self, sink: Sink | None = None, **config: Any) -> None:
        self.sink = sink or Sink()
        self.clock = FakeClock()
        given = settings("batch", clock=self.clock)
        self.telemetry = given.telemetry
        self.processor = Processor(Config.model_validate(config), given, self.sink)

    def send(self, batch: Batch) -> asyncio.Task[None]:
        return asyncio.create_task(self.processor.consume(batch))


def wire(*batches: Batch) -> bytes:
    return b"".join(bytes(batch.wire()) for batch in batches)


async def test_merged_while_one_is_in_flight() -> None:
    rig = Rig()
    rig.sink.close()
    a, b, c = traces(1), traces(2), traces(3)
    senders = [rig.send(batch) for batch in (a, b, c)]
    await settle()
    assert rig.sink.tried == [a]
    rig.sink.open()
    await asyncio.gather(*senders)
    assert [batch.items for batch in rig.sink.batches] == [1, 5]
    assert wire(rig.sink.batches[1]) == wire(b, c)
    await rig.processor.stop()


async def test_signals_are_never_merged() -> None:
    rig = Rig()
    rig.sink.close()
    senders = [rig.send(batch) for batch in (traces(), logs(), traces(), logs())]
    await settle()
    assert len(rig.sink.tried) == 2
    rig.sink.open()
    await asyncio.gather(*senders)


A = Context({"tenant": ["a"], "trace": ["1"]}, peer="10.0.0.1")
OTHER_A = Context({"tenant": ["a"], "trace": ["2"]}, peer="10.0.0.2", deadline=99.0)
B = Context({"tenant": ["b"], "trace": ["1"]})
ANN = Context({"tenant": ["a"], "trace": ["1"]}, auth={"subject": "ann"})


async def test_differing_metadata_and_authentication_are_never_merged() -> None:
    rig = Rig()
    rig.sink.close()
    contexts = [A, A, OTHER_A, A, B, ANN, ANN, ANN]
    senders = [rig.send(traces(1, context=context)) for context in contexts]
    await settle()
    assert [batch.context for batch in rig.sink.tried] == [A, OTHER_A, B, ANN]
    rig.sink.open()
    await asyncio.gather(*senders)
    merged = rig.sink.batches[4:]
    assert [(batch.items, batch.context.auth) for batch in merged] == [
        (2, {}),
        (2, {"subject": "ann"}),
    ]
    assert all(batch.context.metadata == A.metadata for batch in merged)
    assert merged[0].context.peer is None


async def test_metadata_keys_tell_apart_and_alone_go_on() -> None:
    rig = Rig(metadata_keys=["Tenant"])
    rig.sink.close()
    senders = [rig.send(traces(1, context=context)) for context in (A, OTHER_A, A, B)]
    await settle()
    assert [batch.context.metadata for batch in rig.sink.tried] == [
        {"tenant": ("a",)},
        {"tenant": ("b",)},
    ]
    assert rig.sink.tried[0].context.peer == "10.0.0.1"
    rig.sink.open()
    await asyncio.gather(*senders)
    assert [batch.items for batch in rig.sink.batches] == [1, 1, 2]
    assert rig.sink.batches[2].context == Context({"tenant": ["a"]})


async def test_the_time_out_ends_the_wait() -> None:
    rig = Rig(timeout="1s")
    rig.sink.close()
    senders = [rig.send(traces(n)) for n in (1, 2, 3)]
    await rig.clock.advance(0.9)
    assert len(rig.sink.tried) == 1
    await rig.clock.advance(0.2)
    assert [batch.items for batch in rig.sink.tried] == [1, 5]
    assert rig.telemetry.value("otelcol_processor_batch_timeout_trigger_send") == 1
    rig.sink.open()
    await asyncio.gather(*senders)


async def test_no_request_has_more_than_the_largest_size() -> None:
    rig = Rig(send_batch_size=4, send_batch_max_size=4)
    rig.sink.close()
    senders = [rig.send(traces(n)) for n in (1, 3, 3, 10)]
    await settle()
    rig.sink.open()
    await asyncio.gather(*senders)
    assert sorted(batch.items for batch in rig.sink.batches) == [1, 2, 3, 3, 4, 4]


async def test_profiles_pass_unmerged() -> None:
    rig = Rig()
    rig.sink.close()
    senders = [rig.send(Batch(Signal.PROFILES, b"")) for _ in range(3)]
    await settle()
    assert len(rig.sink.tried) == 3
    rig.sink.open()
    await asyncio.gather(*senders)


async def test_each_sender_hears_what_became_of_its_data() -> None:
    rig = Rig(Sink([None, Retry("busy", after=2)]))
    rig.sink.close()
    senders = [rig.send(traces(n)) for n in (1, 2, 3)]
    await settle()
    rig.sink.open()
    first, *merged = await asyncio.gather(*senders, return_exceptions=True)
    assert first is None
    assert all(isinstance(error, Retry) and error.after == 2 for error in merged)
    assert merged[0] is not merged[1]


async def test_one_senders_bad_data_does_not_sink_anothers() -> None:
    class Picky(Sink):
        async def consume(self, batch: Batch) -> None:
            if b"bad" in bytes(batch.wire()):
                self.tried.append(batch)
                raise Reject("bad span", code=3)
            await super().consume(batch)

    rig = Rig(Picky())
    rig.sink.close()
    senders = [rig.send(b) for b in (traces(1), traces(2), traces(3, name="bad"), traces(4))]
    await settle()
    rig.sink.open()
    outcomes = await asyncio.gather(*senders, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), Reject, type(None)]
    assert sorted(batch.items for batch in rig.sink.batches) == [1, 2, 4]


async def test_a_sender_that_leaves_takes_its_waiting_request_along() -> None:
    rig = Rig()
    rig.sink.close()
    senders = [rig.send(traces(n)) for n in (1, 2, 3)]
    await settle()
    senders[1].cancel()
    await settle()
    rig.sink.open()
    await asyncio.gather(senders[0], senders[2])
    assert [batch.items for batch in rig.sink.batches] == [1, 3]


async def test_a_flight_that_everybody_has_left_is_cancelled() -> None:
    rig = Rig(send_batch_size=4)
    rig.sink.close()
    senders = [rig.send(traces(n)) for n in (1, 2, 2)]
    await settle()
    assert [batch.items for batch in rig.sink.tried] == [1, 4]
    senders[1].cancel()
    await settle()
    assert rig.sink.waiting == 2
    senders[2].cancel()
    await settle()
    assert rig.sink.waiting == 1
    rig.sink.open()
    await senders[0]
    assert rig.sink.items == 1


async def test_stop_sends_what_waits() -> None:
    rig = Rig(timeout="1h")
    rig.sink.close()
    senders = [rig.send(traces(n)) for n in (1, 2)]
    await settle()
    stopping = asyncio.create_task(rig.processor.stop())
    await settle()
    assert len(rig.sink.tried) == 2
    rig.sink.open()
    await asyncio.gather(stopping, *senders)
    await rig.processor.stop()


async def test_beyond_the_cardinality_limit_requests_pass_unmerged() -> None:
    rig = Rig(metadata_cardinality_limit=1)
    rig.sink.close()
    senders = [rig.send(batch) for batch in (traces(1), logs(1), logs(2))]
    await settle()
    assert len(rig.sink.tried) == 3
    rig.sink.open()
    await asyncio.gather(*senders)


def test_a_largest_size_below_the_usual_one_is_a_problem() -> None:
    problems = list(Config(send_batch_max_size=10).check())
    assert [(problem.path, problem.fix) for problem in problems] == [
        ("send_batch_max_size", "use 8192 or more, or 0 for no bound")
    ]
