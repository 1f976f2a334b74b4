"""One graph takes over from another: what stays, what restarts, and nothing is lost between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from graphs import Exporter, Extension, Processor, Receiver, World

from heliograph.errors import ConfigError, Problem
from heliograph.otlp import Batch
from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.fields import Field
from heliograph.pipeline.reuse import alike, texts
from heliograph.testing import logs, settle, traces

PLAIN = {"traces": ("in", "a b", "out")}


class NewOptions(ComponentConfig):
    value: Any = None
    inner: dict[str, list[Any]] = Field({}, description="More.")


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (1, 1.0), ("1", 1), (None, ""), ([1], [True]), ({"a": 1}, {"a": 1.0})],
    ids=str,
)
def test_values_that_python_takes_for_equal_are_not_alike(one: Any, other: Any) -> None:
    assert not alike(NewOptions(value=one), NewOptions(value=other))
    assert alike(NewOptions(value=one, inner={"a": [1]}), NewOptions(value=one, inner={"a": [1]}))


def test_the_order_of_keys_says_nothing() -> None:
    assert alike(NewOptions(value={"a": 1, "b": 2}), NewOptions(value={"b": 2, "a": 1}))


def test_every_text_of_a_configuration_is_seen() -> None:
    assert set(texts(NewOptions(value="x", inner={"k": ["y", 1, ["z"]]}))) == {"x", "y", "z"}


async def test_the_same_again_restarts_nothing() -> None:
    async with World(PLAIN, extensions="page") as world:
        before = list(world.told.events)
        change = await world.reload(PLAIN, extensions="page")
        assert world.told.events == before
        assert change.kept == (
            "exporters.out",
            "extensions.page",
            "processors.a in traces",
            "processors.b in traces",
            "receivers.in",
        )
        assert change.restarted + change.added + change.removed == ()


@pytest.mark.parametrize("path", ["receivers.in", "processors.a", "processors.b", "exporters.out"])
async def test_only_what_changed_restarts(path: str) -> None:
    async with World(PLAIN) as world:
        world.told.events.clear()
        change = await world.reload(PLAIN, options={path: {"version": 2}})
        assert sorted(world.told.events) == [f"start {path}", f"stop {path}"]
        assert [name.partition(" ")[0] for name in change.restarted] == [path]
        await world.send(traces(3))
        assert world.last("exporters.out").sink.items == 3


async def test_a_processor_is_put_between_and_taken_out_while_its_neighbours_stay() -> None:
    async with World({"traces": ("in", "a", "out")}) as world:
        seen = []

        class Counting(Processor):
            async def consume(self, batch: Batch) -> None:
                seen.append(batch)
                await super().consume(batch)

        change = await world.reload(PLAIN, classes={"processors.b": Counting})
        assert change.added == ("processors.b in traces",)
        await world.send(traces(1))
        change = await world.reload({"traces": ("in", "a", "out")})
        assert change.removed == ("processors.b in traces",)
        await world.send(traces(1))
        assert len(seen) == 1
        assert world.sink("out").items == 2
        assert world.told.events[-1] == "stop processors.b"


async def test_a_pipeline_comes_and_goes_beside_one_that_stays() -> None:
    async with World(PLAIN) as world:
        more = PLAIN | {"traces/2": ("in", "a", "other")}
        change = await world.reload(more)
        assert change.added == ("exporters.other", "processors.a in traces/2")
        await world.send(traces(2))
        assert (world.sink("out").items, world.sink("other").items) == (2, 2)
        await world.reload(PLAIN)
        await world.send(traces(2))
        assert (world.sink("out").items, world.sink("other").items) == (4, 2)


async def test_a_receiver_restarts_when_its_signals_change() -> None:
    async with World(PLAIN) as world:
        change = await world.reload(PLAIN | {"logs": ("in", "", "out")})
        assert change.restarted == ("receivers.in",)
        await world.send(logs(2))
        assert world.sink("out").items == 2


async def test_a_connector_keeps_going_while_what_it_feeds_changes() -> None:
    pipelines = {"traces": ("in", "", "link"), "traces/2": ("link", "a", "out")}
    async with World(pipelines, connectors="link") as world:
        options = {"processors.a": {"version": 1}}
        change = await world.reload(pipelines, connectors="link", options=options)
        assert change.restarted == ("processors.a in traces/2",)
        await world.send(traces(1))
        assert world.sink("out").items == 1


async def test_who_names_an_extension_that_changed_restarts() -> None:
    uses = {"exporters.out": {"uses": "auth/1"}}
    async with World(PLAIN, extensions="auth/1 auth/2", options=uses) as world:
        options = uses | {"extensions.auth/2": {"version": 1}}
        change = await world.reload(PLAIN, extensions="auth/1 auth/2", options=options)
        assert change.restarted == ("extensions.auth/2",)
        options |= {"extensions.auth/1": {"version": 1}}
        change = await world.reload(PLAIN, extensions="auth/1 auth/2", options=options)
        assert change.restarted == ("exporters.out", "extensions.auth/1")
        given = world.last("exporters.out").settings.extensions
        assert world.last("extensions.auth/1") in given.values()


async def test_batches_inside_arrive_where_they_were_going() -> None:
    async with World(PLAIN) as world:
        old = world.sink("out")
        old.close()
        inside = asyncio.create_task(world.send(traces(5)))
        await settle()
        options = {"processors.b": {"version": 1}, "exporters.out": {"version": 1}}
        await world.reload(PLAIN, options=options, retire=False)
        await world.send(traces(2))
        assert world.last("exporters.out").sink.items == 2
        retiring = asyncio.create_task(world.exchange.retire())
        await settle()
        assert not [event for event in world.told.events if event.startswith("stop")]
        old.open()
        await asyncio.gather(inside, retiring)
        assert old.items == 5
        assert world.told.events[-2:] == ["stop processors.b", "stop exporters.out"]


async def test_what_does_not_leave_in_time_is_stopped_all_the_same() -> None:
    async with World(PLAIN) as world:
        world.sink("out").close()
        inside = asyncio.create_task(world.send(traces(5)))
        await settle()
        await world.reload(PLAIN, options={"exporters.out": {"version": 1}}, retire=False)
        await world.exchange.retire(0.05)
        assert world.told.events[-1] == "stop exporters.out"
        inside.cancel()
        await asyncio.gather(inside, return_exceptions=True)


class Broken:
    """Mixed into a component that cannot start."""

    async def start(self) -> None:
        raise ConfigError([Problem("version", "is not to be had", fix="use another")])


BROKEN: dict[str, type] = {
    "receivers.in": type("BrokenReceiver", (Broken, Receiver), {}),
    "processors.b": type("BrokenProcessor", (Broken, Processor), {}),
    "exporters.out": type("BrokenExporter", (Broken, Exporter), {}),
    "extensions.page": type("BrokenExtension", (Broken, Extension), {}),
}


@pytest.mark.parametrize("path", BROKEN)
async def test_what_cannot_start_changes_nothing(path: str) -> None:
    async with World(PLAIN, extensions="page") as world:
        running = world.graph
        options = {name: {"version": 1} for name in BROKEN if name != path}
        with pytest.raises(ConfigError) as caught:
            await world.reload(
                PLAIN, extensions="page", classes={path: BROKEN[path]}, options=options
            )
        assert [(p.path, p.fix) for p in caught.value.problems] == [
            (f"{path}.version", "use another")
        ]
        assert world.graph is running
        await world.told.made["receivers.in"][0].send(traces(2))
        assert world.told.made["exporters.out"][0].sink.items == 2
        for old, *new in world.told.made.values():
            assert old.running
            assert not any(made.running for made in new)
        change = await world.reload(PLAIN, extensions="page")
        assert len(change.kept) == 5


async def test_a_constructor_that_fails_changes_nothing() -> None:
    class Failing(Processor):
        def __init__(self, *args: Any) -> None:
            raise ConfigError([Problem("processors.a", "cannot be built")])

    async with World(PLAIN) as world:
        options = {"processors.b": {"version": 1}}
        with pytest.raises(ConfigError):
            await world.reload(PLAIN, classes={"processors.a": Failing}, options=options)
        await world.send(traces(2))
        assert world.sink("out").items == 2
        assert world.graph.blame(KeyError()) == "the pipeline"


async def test_a_receiver_is_stopped_before_its_successor_starts_and_comes_back_if_that_fails() -> (
    None
):
    async with World(PLAIN) as world:
        world.told.events.clear()
        await world.reload(PLAIN, options={"receivers.in": {"version": 1}})
        assert world.told.events[:2] == ["stop receivers.in", "start receivers.in"]
        world.told.events.clear()
        with pytest.raises(ConfigError):
            await world.reload(PLAIN, classes={"receivers.in": BROKEN["receivers.in"]})
        assert world.told.events[0] == "stop receivers.in"
        assert world.told.events[-1] == "start receivers.in"


async def test_gauges_and_failures_follow_the_components() -> None:
    class Measuring(Exporter):
        def __init__(self, config: Any, settings: Any) -> None:
            super().__init__(config, settings)
            settings.telemetry.gauge("width", lambda: config.version, exporter=str(settings.id))

    classes = {"exporters.out": Measuring}
    async with World(PLAIN, classes=classes) as world:
        telemetry = world.graph.telemetry
        with pytest.raises(ConfigError):
            await world.reload(
                PLAIN,
                classes=classes | {"receivers.in": BROKEN["receivers.in"]},
                options={"exporters.out": {"version": 1}},
            )
        assert telemetry.value("width") == 0
        await world.reload(PLAIN, classes=classes, options={"exporters.out": {"version": 2}})
        assert telemetry.value("width") == 2
        await world.reload({"traces": ("in", "a b", "other")})
        assert [sample.name for sample in telemetry.samples() if sample.name == "width"] == []


async def test_threads_keep_going_and_are_exchanged() -> None:
    class Slow(Processor):
        blocking = True

    classes = {"processors.a": Slow}
    async with World(PLAIN, classes=classes) as world:
        options = {"exporters.out": {"version": 1}}
        change = await world.reload(PLAIN, classes=classes, options=options)
        assert "processors.a in traces" in change.kept
        await world.send(traces(1))
        options |= {"processors.a": {"version": 1}}
        await world.reload(PLAIN, classes=classes, options=options)
        await world.send(traces(1))
        assert world.last("exporters.out").sink.items == 2
        assert world.told.events.count("stop processors.a") == 1


async def test_under_load_every_batch_arrives_once() -> None:
    async with World(PLAIN) as world:
        sent = 0
        done = False

        async def sender() -> None:
            nonlocal sent
            while not done:
                sent += 1
                await world.send(traces(1))
                await asyncio.sleep(0)

        senders = [asyncio.create_task(sender()) for _ in range(10)]
        for version in range(1, 20):
            options = {
                path: {"version": version}
                for number, path in enumerate(("processors.a", "processors.b", "exporters.out"))
                if version % (number + 2) == 0
            }
            await world.reload(PLAIN, options=options)
            await settle(3)
        done = True
        await asyncio.gather(*senders)
        got = sum(exporter.sink.items for exporter in world.told.made["exporters.out"])
        assert got == sent > 100
