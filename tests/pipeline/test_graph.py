"""Who hands batches to whom, in which order things start and stop."""

import asyncio
from typing import Any

import pytest
from graphs import Exporter, Processor, World

from heliograph.errors import ConfigError, Problem, Reject, Retry
from heliograph.otlp import Signal
from heliograph.pipeline.joints import Intake
from heliograph.pipeline.telemetry import State
from heliograph.testing import Sink, logs, settle, traces


async def test_a_batch_goes_through_unchanged() -> None:
    async with World({"traces": ("in", "a b", "out")}) as world:
        batch = traces(3)
        await world.send(batch)
        assert world.sink("out").batches == [batch]
        telemetry = world.graph.telemetry
        assert telemetry.value("otelcol_receiver_accepted_spans", receiver="in") == 3
        assert telemetry.value("otelcol_exporter_sent_spans", exporter="out") == 3


async def test_one_branch_needs_no_fan_out() -> None:
    async with World({"traces": ("in", "a", "out")}) as world:
        intake = world.one("receivers.in").next[Signal.TRACES].next
        assert isinstance(intake, Intake)
        assert isinstance(intake.processor, Processor)


async def test_starts_from_the_end_and_stops_from_the_front() -> None:
    pipelines = {"traces": ("in", "a b", "link"), "traces/2": ("link", "c", "out")}
    async with World(pipelines, connectors="link", extensions="page") as world:
        assert world.told.events == [
            "start extensions.page",
            "start exporters.out",
            "start processors.c",
            "start connectors.link",
            "start processors.b",
            "start processors.a",
            "start receivers.in",
        ]
        world.told.events.clear()
        await world.graph.stop()
        assert world.told.events == [
            "stop receivers.in",
            "stop processors.a",
            "stop processors.b",
            "stop connectors.link",
            "stop processors.c",
            "stop exporters.out",
            "stop extensions.page",
        ]
        assert world.graph.telemetry.state is State.DRAINING


async def test_one_instance_an_id_but_one_processor_a_pipeline() -> None:
    pipelines = {
        "traces": ("in", "p", "out"),
        "traces/2": ("in", "p", "out"),
        "logs": ("in", "p", "out"),
    }
    async with World(pipelines) as world:
        assert len(world.told.made["receivers.in"]) == 1
        assert len(world.told.made["exporters.out"]) == 1
        assert len(world.told.made["processors.p"]) == 3
        await world.send(traces(2))
        assert world.sink("out").items == 4
        assert world.graph.telemetry.value("otelcol_receiver_accepted_spans") == 2
        await world.send(logs(1))
        assert world.sink("out").items == 5


async def test_a_processor_learns_its_pipelines_signal() -> None:
    async with World({"logs": ("in", "p", "out")}) as world:
        assert world.one("processors.p").settings.signal == Signal.LOGS


async def test_branches_run_side_by_side_and_share_the_batch() -> None:
    async with World({"traces": ("in", "", "slow fast")}) as world:
        world.sink("slow").close()
        sending = asyncio.create_task(world.send(batch := traces()))
        await settle()
        assert world.sink("fast").batches == [batch]
        assert not sending.done()
        world.sink("slow").open()
        await sending
        assert world.sink("slow").batches[0] is world.sink("fast").batches[0]


async def test_a_branch_that_wants_a_retry_decides_and_duplicates_are_counted() -> None:
    async with World({"traces": ("in", "", "good bad worse")}) as world:
        world.one("exporters.bad").sink = Sink([Retry("busy", after=3)])
        world.one("exporters.worse").sink = Sink([Reject("too old", code=3)])
        with pytest.raises(Retry, match="busy") as caught:
            await world.send(traces(2))
        assert caught.value.after == 3
        telemetry = world.graph.telemetry
        assert telemetry.value("heliograph_fanout_repeated_spans", branch="good") == 2
        assert telemetry.value("heliograph_fanout_repeated_spans") == 2
        assert telemetry.value("otelcol_receiver_refused_spans") == 2


async def test_rejected_when_no_branch_wants_a_retry() -> None:
    async with World({"traces": ("in", "", "good bad")}) as world:
        world.one("exporters.bad").sink = Sink([Reject("too old", code=3)])
        with pytest.raises(Reject, match="too old") as caught:
            await world.send(traces(2))
        assert caught.value.code == 3
        assert world.sink("good").items == 2


async def test_a_cancelled_sender_cancels_all_branches() -> None:
    async with World({"traces": ("in", "", "a b")}) as world:
        world.sink("a").close()
        world.sink("b").close()
        sending = asyncio.create_task(world.send(traces()))
        await settle()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        world.sink("a").open()
        world.sink("b").open()
        await settle()
        assert world.sink("a").items == world.sink("b").items == 0


async def test_a_connector_joins_pipelines() -> None:
    pipelines = {
        "traces/1": ("in", "a", "link"),
        "traces/2": ("other", "", "link"),
        "traces/end": ("link", "b", "out"),
    }
    async with World(pipelines, connectors="link") as world:
        await world.send(traces(1))
        await world.send(traces(1), receiver="other")
        assert world.sink("out").items == 2


async def test_connectors_in_a_circle_are_refused() -> None:
    pipelines = {"traces/1": ("in y", "", "x"), "traces/2": ("x", "", "y")}
    with pytest.raises(ConfigError, match="circle: traces/1 → traces/2 → traces/1"):
        World(pipelines, connectors="x y")


class Broken(Exporter):
    async def start(self) -> None:
        await super().start()
        raise ConfigError([Problem("endpoint", f"{self.path} is taken")])


async def test_what_cannot_be_opened_is_told_at_once_and_the_rest_is_stopped() -> None:
    classes = {"exporters.a": Broken, "exporters.b": Broken}
    world = World({"traces": ("in", "p", "a b")}, extensions="page", classes=classes)
    with pytest.raises(ConfigError) as caught:
        await world.graph.start()
    assert [problem.path for problem in caught.value.problems] == [
        "exporters.a.endpoint",
        "exporters.b.endpoint",
    ]
    assert "start receivers.in" not in world.told.events
    assert "stop extensions.page" in world.told.events
    world.edge.close()


class Buggy(Processor):
    async def consume(self, batch: Any) -> None:
        raise KeyError("no such span")


async def test_a_bug_is_named_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with World(
        {"traces": ("in", "a bad", "out")}, classes={"processors.bad": Buggy}
    ) as world:
        for _ in range(3):
            with pytest.raises(Reject, match=r"internal error in processors\.bad"):
                await world.send(traces(2))
        telemetry = world.graph.telemetry
        assert telemetry.value("otelcol_receiver_failed_spans") == 6
        assert telemetry.value("heliograph_component_errors", component="processors.bad") == 3
    assert [record.exc_info is not None for record in caplog.records] == [True]


class Cut(Processor):
    async def consume(self, batch: Any) -> None:
        raise ConnectionResetError("by peer")


@pytest.mark.parametrize("exporters", ["out", "out other"])
async def test_a_lost_connection_in_a_component_is_no_reason_to_lose_data(exporters: str) -> None:
    pipelines = {"traces": ("in", "cut", exporters)}
    async with World(pipelines, classes={"processors.cut": Cut}) as world:
        with pytest.raises(Retry, match="ConnectionResetError: by peer"):
            await world.send(traces(2))
        errors = world.graph.telemetry.value("heliograph_component_errors")
        assert errors == 1


@pytest.mark.parametrize("exporters", ["out", "out other"])
async def test_a_lost_connection_in_an_exporter_either(exporters: str) -> None:
    async with World({"traces": ("in", "", exporters)}) as world:
        world.one("exporters.out").sink = Sink([ConnectionResetError("by peer")])
        with pytest.raises(Retry, match="ConnectionResetError: by peer"):
            await world.send(traces(2))
        assert world.graph.telemetry.failing["out"].reason == "ConnectionResetError: by peer"
        await world.send(traces(2))
        assert not world.graph.telemetry.failing


class Stubborn(Processor):
    async def stop(self) -> None:
        await super().stop()
        await asyncio.Event().wait()


async def test_draining_ends_at_its_deadline(caplog: pytest.LogCaptureFixture) -> None:
    world = World({"traces": ("in", "a", "out")}, classes={"processors.a": Stubborn})
    await world.graph.start()
    assert not await world.graph.stop(within=0.05)
    assert "processors.a did not stop in time" in caplog.text
    assert "stop exporters.out" in world.told.events
    world.edge.close()


async def test_a_component_that_cannot_go_on_is_reported() -> None:
    async with World({"traces": ("in", "", "out")}) as world:
        world.one("receivers.in").settings.failed(OSError("socket gone"))
        with pytest.raises(OSError, match="socket gone"):
            await world.graph.failed
