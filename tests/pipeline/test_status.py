"""What `heliograph collector status` tells."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from graphs import Exporter, PlainConfig, Processor, World

from heliograph.cli import main
from heliograph.errors import DeliveryError, Reject, Retry
from heliograph.otlp import Batch
from heliograph.pipeline.control import ControlError
from heliograph.pipeline.delivery import DeliveryConfig
from heliograph.pipeline.own.process import measure
from heliograph.pipeline.own.tracing import Tracer
from heliograph.pipeline.status import rates, snapshot
from heliograph.pipeline.status_view import follow, number, render, seconds, size
from heliograph.pipeline.telemetry import Mishap
from heliograph.testing import FakeClock, traces


class Half(Processor):
    async def consume(self, batch: Batch) -> None:
        await self.next.consume(batch.take([row % 2 == 0 for row in range(batch.items)]))


class Sending(PlainConfig, DeliveryConfig):
    pass


def world(**options: Any) -> World:
    pipelines = {"traces": ("in", "half", "out link"), "traces/2": ("link", "", "out")}
    made = World(
        pipelines,
        connectors="link",
        classes={"processors.half": Half},
        clock=FakeClock(),
        **options,
    )
    measure(made.graph.telemetry)
    return made


def step(status: dict[str, Any], id: str, pipeline: str = "traces") -> dict[str, Any]:
    (found,) = (made for made in status["pipelines"] if made["id"] == pipeline)
    (wanted,) = (made for made in found["steps"] if made["id"] == id)
    return wanted  # type: ignore[no-any-return]


async def test_a_snapshot_tells_what_went_where() -> None:
    async with world() as made:
        await made.send(traces(10))
        status = json.loads(json.dumps(snapshot(made.graph)))
    assert [pipeline["id"] for pipeline in status["pipelines"]] == ["traces", "traces/2"]
    assert [made["kind"] for made in status["pipelines"][0]["steps"]] == [
        *("receiver", "processor", "exporter", "connector"),
    ]
    assert step(status, "in")["counts"] == {
        **{"received": 10, "accepted": 10},
        **{"refused": 0, "failed": 0},
    }
    half = step(status, "half")
    assert (half["counts"]["incoming"], half["counts"]["outgoing"]) == (10, 5)
    assert (half["removed"], half["inside"]) == ({"filtered": 5}, 0)
    assert step(status, "link")["counts"] == {"consumed": 5}
    assert step(status, "link", "traces/2")["counts"] == {"produced": 5}
    (exporter,) = status["exporters"]
    assert (exporter["id"], exporter["counts"]["sent"]) == ("out", 10)
    assert exporter["signals"] == {"traces": {"counts": exporter["counts"]}}
    assert status["process"]["state"] == "running"
    assert status["process"]["rss"] > 1e6
    assert status["admission"]["used"] >= 0


async def test_a_failing_exporter_says_so() -> None:
    async with world() as made:
        sink = made.sink("out")
        sink._outcomes = iter([Reject("bad"), *(Retry("no route") for _ in range(3))])
        for _ in range(2):
            with suppress(DeliveryError):
                await made.send(traces(2))
        await made.graph.surroundings.clock.advance(5)  # type: ignore[attr-defined]
        (exporter,) = snapshot(made.graph)["exporters"]
    assert exporter["failing"] == {"seconds": 5.0, "reason": "no route", "attempts": 3}
    assert exporter["dropped"] == {"rejected": 1}
    assert exporter["counts"]["returned"] == 3


async def test_an_exporter_with_a_queue() -> None:
    told = {"exporters.out": Exporter}
    async with World({"traces": ("in", "", "out")}, classes=told) as made:
        config = Sending(told=made.told)
    classes = {"exporters.out": (Exporter, config)}
    async with World({"traces": ("in", "", "out")}, classes=classes) as made:
        (exporter,) = snapshot(made.graph)["exporters"]
    assert exporter["queue"]["fill"] == 0
    assert exporter["queue"]["capacity"] > 0
    assert (exporter["in_flight"], exporter["waiting"], exporter["oldest"]) == (0, 0, 0)


async def test_rates_are_differences_by_the_second() -> None:
    async with world() as made:
        await made.send(traces(10))
        before = snapshot(made.graph)
        await made.send(traces(6))
        after = snapshot(made.graph)
    before["time"], after["time"] = 100.0, 102.0
    found = rates(before, after)
    assert step(found, "in")["counts"]["received"] == 3
    assert step(found, "half")["removed"] == {"filtered": 1.5}
    assert found["exporters"][0]["counts"]["sent"] == 3
    assert found["exporters"][0]["signals"]["traces"]["counts"]["sent"] == 3
    fresh = rates({"time": 101.0}, after)
    assert step(fresh, "in")["counts"]["received"] == 16


async def test_the_table() -> None:
    async with world() as made:
        await made.send(traces(2000))
        made.graph.telemetry.errors.append(Mishap(0.0, "ERROR", "exporters.out", "lost\nall"))
        labels = {"receiver": "in", "reason": "memory", "transport": "grpc"}
        made.graph.telemetry.gauge("heliograph_receiver_turned_away_requests", lambda: 3, **labels)
        status = snapshot(made.graph)
    lines = [re.sub(" +", " ", line).strip() for line in render(status, width=120).splitlines()]
    assert "▶ in 2 000 2 000 0" in lines
    assert "│ half 2 000 1 000 0 1 000 filtered 1 000" in lines
    assert "▷ out 2 000 2 000 0" in lines
    assert "turned away at the door, in requests: in memory 3" in lines
    assert any(line.endswith("ERROR exporters.out: lost") for line in lines)
    live = render(status, rates(status, status | {"time": status["time"] + 1}))
    assert "items a second" in live


async def test_following_shows_rates_until_nobody_answers() -> None:
    shown: list[str] = []
    async with world() as made:
        statuses = []
        for _ in range(2):
            await made.send(traces(10))
            statuses.append(snapshot(made.graph))
    statuses[0]["time"], statuses[1]["time"] = 100.0, 101.0
    answers = iter(statuses)

    def read() -> dict[str, Any]:
        found = next(answers, None)
        if found is None:
            raise ControlError("it has gone")
        return found

    with pytest.raises(ControlError):
        follow(read, write=shown.append, every=0)
    totals, moving = shown
    assert "items since the start" in totals
    assert "items a second" in moving
    assert re.search(r"▶ in +10 +10 +0", moving)


def test_numbers_for_people() -> None:
    assert [number(value) for value in (None, 0, 0.25, 9.96, 1234567.8)] == [
        *("", "0", "0.2", "10.0", "1 234 568"),
    ]
    assert [size(value) for value in (5, 2048, 3 * 2**20, 5 * 2**30)] == [
        *("5 B", "2.0 KiB", "3.0 MiB", "5.0 GiB"),
    ]
    assert [seconds(value) for value in (0.26, 59, 61, 3_700, 90_000)] == [
        *("0.3 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"),
    ]


async def test_the_slowest_and_the_failed_of_what_was_traced() -> None:
    spans: list[Any] = []
    async with world(tracer=Tracer(1.0, spans.append)) as made:
        made.sink("out")._outcomes = iter([None, None, Retry("later")])
        await made.send(traces(3))
        with suppress(DeliveryError):
            await made.send(traces(4))
        told = snapshot(made.graph)["traces"]
    assert told["seen"] == 2
    assert {row["items"] for row in told["slowest"]} == {3, 4}
    (failed,) = told["failed"]
    assert (failed["items"], failed["error"]) == (4, "later")
    assert failed["trace_id"] in {span["traceId"] for span in spans}


@contextmanager
def answering(path: Path, answer: Any) -> Iterator[None]:
    """Be a collector that gives the same answer to everything."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as stream:
                assert json.loads(stream.readline())["command"] == "status"
                stream.write(json.dumps(answer) + "\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


async def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with world() as made:
        await made.send(traces(10))
        status = snapshot(made.graph)
    for options in ([], ["--json"]):
        path = tmp_path / f"socket{len(options)}"
        with answering(path, {"ok": True, "result": status}):
            assert main(["collector", "status", "--socket", str(path), *options]) == 0
        out = capsys.readouterr().out
        if options:
            assert json.loads(out) == json.loads(json.dumps(status))
        else:
            assert "▶ in" in out


def test_the_command_without_a_collector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collector", "status", "--socket", str(tmp_path / "none")]) == 1
    assert "no collector" in capsys.readouterr().err
    assert main(["collector", "status"]) == 2
