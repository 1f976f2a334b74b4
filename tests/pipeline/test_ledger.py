"""Counts add up, whatever processors do and whatever becomes of batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from graphs import Processor, World
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import DeliveryError, Reject, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import through
from heliograph.pipeline.ledger import FILTERED, Ledger
from heliograph.processors import batch as batch_processor
from heliograph.testing import FakeClock, settle, traces


class Filter(Processor):
    """Drops every other item, and passes nothing on when none is left."""

    async def consume(self, batch: Batch) -> None:
        kept = batch.take([row % 2 == 1 for row in range(batch.items)])
        if kept.items:
            await self.next.consume(kept)


class Named(Processor):
    """Drops the first item, and says why."""

    async def consume(self, batch: Batch) -> None:
        await self.next.consume(batch.take([row > 0 for row in range(batch.items)]))
        self.settings.ledger.removed("first").value += 1


class Split(Processor):
    async def consume(self, batch: Batch) -> None:
        for part in batch.split(items=1):
            await self.next.consume(part)


class Double(Processor):
    async def consume(self, batch: Batch) -> None:
        await self.next.consume(Batch.join([batch, batch]))


class Swallow(Processor):
    async def consume(self, batch: Batch) -> None:
        try:
            await self.next.consume(batch)
        except Reject:
            await asyncio.sleep(0)


class Rewrap(Processor):
    async def consume(self, batch: Batch) -> None:
        try:
            await self.next.consume(batch)
        except DeliveryError as error:
            raise Retry(f"after: {error.reason}") from error


class Moody(Processor):
    """Turns batches away of its own accord, each in another way."""

    count = 0

    async def consume(self, batch: Batch) -> None:
        self.count += 1
        if self.count % 4 == 1:
            raise Retry("not now")
        if self.count % 4 == 2:
            raise Reject("never")
        if self.count % 4 == 3:
            raise ValueError("a bug")
        await self.next.consume(batch)


class Hold(Processor):
    """Acknowledges, keeps one batch back, and passes on the one before."""

    kept: Batch | None = None

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.settings.ledger.holds(lambda: 0 if self.kept is None else self.kept.items)

    async def consume(self, batch: Batch) -> None:
        before, self.kept = self.kept, batch
        if before is not None:
            try:
                await self.next.consume(before)
            except Exception:
                self.settings.ledger.removed("lost").value += before.items


class Batching(batch_processor.Processor):
    def __init__(self, config: Any, settings: Any, next: Any) -> None:
        super().__init__(batch_processor.Config(send_batch_size=4), settings, next)


KINDS = {
    "pass": Processor,
    "filter": Filter,
    "named": Named,
    "split": Split,
    "double": Double,
    "swallow": Swallow,
    "rewrap": Rewrap,
    "moody": Moody,
    "hold": Hold,
    "batch": Batching,
}
OUTCOMES = {
    "ok": lambda: None,
    "retry": lambda: Retry("later"),
    "reject": lambda: Reject("never"),
    "network": lambda: ConnectionError("gone"),
    "bug": lambda: ValueError("a bug"),
}


def world(processors: str, **options: Any) -> World:
    classes = {f"processors.{id}": KINDS[id.partition("/")[0]] for id in processors.split()}
    return World({"traces": ("in", processors, "out")}, classes=classes, **options)


def ledger(world: World, processor: str) -> Ledger:
    (found,) = (made for made in world.graph.ledgers if made.processor == processor)
    return found


def removed(world: World, processor: str) -> dict[str, int]:
    return {
        reason: counter.value for reason, counter in ledger(world, processor).removed_by.items()
    }


async def send(world: World, items: int) -> str:
    try:
        await world.send(traces(items))
    except DeliveryError as error:
        return type(error).__name__
    return "ok"


def adds_up(world: World) -> None:
    """Assert every equation of docs/guide/telemetry.md, with nothing on its way."""
    value = world.graph.telemetry.value
    for id in {ledger.processor for ledger in world.graph.ledgers}:
        labels = {"processor": id, "otel.signal": "traces"}
        into = (
            value("otelcol_processor_incoming_items", **labels)
            + value("heliograph_processor_created_items", **labels)
            + value("heliograph_processor_returned_items", **labels)
        )
        out = (
            value("otelcol_processor_outgoing_items", **labels)
            + value("heliograph_processor_removed_items", **labels)
            + value("heliograph_processor_refused_items", **labels)
            + value("heliograph_processor_held_items", **labels)
        )
        assert into == out, id
    assert value("heliograph_receiver_received_spans") == (
        value("otelcol_receiver_accepted_spans")
        + value("otelcol_receiver_refused_spans")
        + value("otelcol_receiver_failed_spans")
    )
    assert value("heliograph_exporter_received_spans") == (
        value("otelcol_exporter_sent_spans")
        + value("heliograph_exporter_dropped_spans")
        + value("heliograph_exporter_returned_spans")
    )
    for ledger in world.graph.ledgers:
        assert ledger.pending == 0
        assert all(counter.value >= 0 for counter in ledger.removed_by.values())


async def test_what_passes_is_neither_removed_nor_created() -> None:
    async with world("pass batch") as made:
        assert [await send(made, 3) for _ in range(3)] == ["ok"] * 3
        for id in ("pass", "batch"):
            counts = ledger(made, id)
            assert (counts.incoming.value, counts.outgoing.value) == (9, 9)
            assert (counts.created.value, removed(made, id)) == (0, {})
        adds_up(made)


async def test_what_is_not_passed_on_is_filtered_or_named() -> None:
    async with world("filter named") as made:
        assert await send(made, 5) == "ok"
        assert removed(made, "filter") == {FILTERED: 3}
        assert removed(made, "named") == {"first": 1}
        assert made.sink("out").items == 1
        adds_up(made)


async def test_a_retry_counts_nothing_twice_as_removed() -> None:
    async with world("filter") as made:
        made.one("exporters.out").sink._outcomes = iter([Retry("later"), Retry("later")])
        assert [await send(made, 4) for _ in range(3)] == ["Retry", "Retry", "ok"]
        counts = ledger(made, "filter")
        assert (counts.incoming.value, counts.refused.value) == (12, 8)
        assert (counts.outgoing.value, counts.returned.value) == (6, 4)
        assert removed(made, "filter") == {FILTERED: 2}
        adds_up(made)


@pytest.mark.parametrize("between", ["", "rewrap", "batch", "rewrap batch"])
async def test_what_comes_after_refuses_and_what_a_processor_refuses(between: str) -> None:
    async with world(f"pass {between} moody") as made:
        assert await send(made, 2) == "Retry"
        assert removed(made, "moody") == {"refused": 2}
        for id in f"pass {between}".split():
            assert (removed(made, id), ledger(made, id).refused.value) == ({}, 2), id
        await send(made, 3)
        await send(made, 4)
        assert removed(made, "moody") == {"refused": 2, "rejected": 3, "failed": 4}
        adds_up(made)


class OnItsThread(Filter):
    blocking = True


async def test_a_processor_on_a_thread_of_its_own_is_counted() -> None:
    pipelines = {"traces": ("in", "filter", "out")}
    async with World(pipelines, classes={"processors.filter": OnItsThread}) as made:
        assert await send(made, 5) == "ok"
        made.sink("out")._outcomes = iter([Retry("later")])
        assert await send(made, 4) == "Retry"
        counts = ledger(made, "filter")
        assert (counts.returned.value, counts.refused.value) == (2, 4)
        assert removed(made, "filter") == {FILTERED: 3}
        adds_up(made)


async def test_what_is_made_is_created() -> None:
    async with world("double") as made:
        assert await send(made, 3) == "ok"
        assert ledger(made, "double").created.value == 3
        adds_up(made)


async def test_a_merged_batch_that_is_rejected_goes_on_again() -> None:
    async with world("batch", clock=FakeClock()) as made:
        sink = made.sink("out")
        sink.close()
        first = asyncio.create_task(send(made, 1))
        await settle()
        others = [asyncio.create_task(send(made, 2)) for _ in range(2)]
        await settle()
        sink._outcomes = iter([None, Reject("the merged one"), Reject("one of them")])
        sink.open()
        assert sorted(await asyncio.gather(first, *others)) == ["Reject", "ok", "ok"]
        counts = ledger(made, "batch")
        assert (counts.incoming.value, counts.outgoing.value) == (5, 9)
        assert (counts.returned.value, counts.refused.value) == (6, 2)
        assert (counts.created.value, removed(made, "batch")) == (0, {})
        adds_up(made)


async def test_a_sender_that_goes_takes_its_items_with_it() -> None:
    async with world("pass batch") as made:
        made.sink("out").close()
        task = asyncio.create_task(send(made, 3))
        await settle()
        assert ledger(made, "pass").inside == 0, "it has been handed on"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert ledger(made, "pass").refused.value == 3
        assert ledger(made, "pass").created.value == 0
        assert made.graph.telemetry.value("otelcol_receiver_refused_spans") == 3
        adds_up(made)


async def test_what_is_held_is_neither_removed_nor_lost_from_sight() -> None:
    async with world("hold") as made:
        assert [await send(made, 3), await send(made, 4)] == ["ok", "ok"]
        assert removed(made, "hold") == {}
        assert made.graph.telemetry.value("heliograph_processor_held_items") == 4
        adds_up(made)


async def test_processors_of_one_name_in_two_pipelines_are_counted_together() -> None:
    pipelines = {"traces": ("in", "pass", "out"), "traces/2": ("in", "pass", "out")}
    async with World(pipelines) as made:
        assert await send(made, 3) == "ok"
        assert [found.incoming.value for found in made.graph.ledgers] == [3, 3]
        adds_up(made)
        for found in made.graph.ledgers:
            found.close()
        assert made.graph.telemetry.value("otelcol_processor_incoming_items") == 6


async def test_counts_go_on_through_a_reload() -> None:
    classes = {"processors.filter": Filter, "processors.pass": Processor}
    async with World({"traces": ("in", "pass filter", "out")}, classes=classes) as made:
        assert await send(made, 4) == "ok"
        options = {"processors.filter": {"version": 1}}
        change = await made.reload(
            {"traces": ("in", "pass filter", "out")}, classes=classes, options=options
        )
        assert change.restarted == ("processors.filter in traces",)
        assert await send(made, 6) == "ok"
        value = made.graph.telemetry.value
        assert value("otelcol_processor_incoming_items", processor="pass") == 10
        assert value("otelcol_processor_incoming_items", processor="filter") == 10
        assert removed(made, "filter") == {FILTERED: 3}, "of the new one"
        assert value("heliograph_processor_removed_items", processor="filter") == 5
        adds_up(made)


async def test_connectors_are_counted_on_both_sides() -> None:
    pipelines = {"traces": ("in", "", "link"), "traces/2": ("link", "", "out")}
    async with World(pipelines, connectors="link") as made:
        assert await send(made, 3) == "ok"
        value = made.graph.telemetry.value
        for what in ("consumed", "produced"):
            assert value(f"heliograph_connector_{what}_items", connector="link") == 3


async def test_receivers_count_by_transport_and_by_request() -> None:
    async with world("moody") as made:
        entry = through(made.one("receivers.in").next[Signal.TRACES], "grpc")
        for _ in range(4):
            with suppress(DeliveryError):
                await entry.consume(traces(2))
        value = made.graph.telemetry.value
        labels = {"receiver": "in", "transport": "grpc"}
        assert value("heliograph_receiver_received_spans", **labels) == 8
        assert value("otelcol_receiver_refused_spans", **labels) == 4
        assert value("otelcol_receiver_failed_spans", **labels) == 2
        for outcome, requests in (("success", 1), ("refused", 2), ("failure", 1)):
            assert value("otelcol_receiver_requests", outcome=outcome, **labels) == requests
        adds_up(made)


programs = st.lists(
    st.tuples(
        st.integers(1, 5),  # items
        st.booleans(),  # waits for those before
        st.booleans(),  # is cancelled
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(KINDS)), max_size=4, unique=True),
    st.lists(st.sampled_from(sorted(OUTCOMES)), max_size=12),
    programs,
)
def test_any_program_adds_up(
    kinds: list[str], outcomes: list[str], program: list[tuple[int, bool, bool]]
) -> None:
    asyncio.run(run(kinds, outcomes, program))


async def run(kinds: list[str], outcomes: list[str], program: list[tuple[int, bool, bool]]) -> None:
    clock = FakeClock()
    async with world(" ".join(kinds), clock=clock) as made:
        made.sink("out")._outcomes = slowly(outcomes)
        tasks: list[asyncio.Task[str]] = []
        for items, waits, cancelled in program:
            task = asyncio.create_task(send(made, items))
            tasks.append(task)
            if waits:
                await settle()
            else:
                await asyncio.sleep(0)
            if cancelled:
                task.cancel()
        await clock.advance(10)
        await asyncio.wait(tasks)
        await settle()
        adds_up(made)
        if not {"double", "split"} & set(kinds) and not any(gone for *_, gone in program):
            assert all(found.created.value == 0 for found in made.graph.ledgers)


def slowly(outcomes: list[str]) -> Iterator[Exception | None]:
    for outcome in outcomes:
        yield OUTCOMES[outcome]()
