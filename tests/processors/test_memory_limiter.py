"""Refusing: decisions by step files, the shell with a fake clock and a planted reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import golden
import pytest

from heliograph._core import admission
from heliograph.errors import ConfigError, Retry
from heliograph.otlp import Signal
from heliograph.processors import memory_limiter
from heliograph.processors.memory_limiter import MIB, Config, Core, Door, Processor
from heliograph.testing import FakeClock, Sink, settings, traces


def steps(written: Any) -> Callable[[golden.Step], golden.Step]:
    core = Core(Config.model_validate(written), total=1000 * MIB)

    def do(step: golden.Step) -> golden.Step:
        collect = core.observe(step["used_mib"] * MIB, step["at"])
        return {"refusing": core.refusing, "collect": collect}

    return do


@pytest.mark.parametrize(
    "path", golden.files(Path(__file__).parent / "memory_limiter"), ids=lambda path: path.stem
)
def test_decisions(path: Path, update: bool) -> None:
    golden.check(path, {"refusing", "collect"}, steps, update)


class PlantedDoor(Door):
    planted = 0

    @property
    def used(self) -> int:
        return self.planted


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlantedDoor]:
    planted = PlantedDoor()
    monkeypatch.setattr(memory_limiter, "DOOR", planted)
    monkeypatch.setattr(memory_limiter, "resident", lambda: 100 * MIB)
    yield planted
    assert admission().limit is None


def limiter(clock: FakeClock, sink: Sink, limit: int = 500) -> Processor:
    config = Config.model_validate({"limit_mib": limit, "check_interval": "1s"})
    return Processor(config, settings(clock=clock, signal=Signal.TRACES), sink)


async def test_refuses_while_too_much_is_held(door: PlantedDoor) -> None:
    clock, sink = FakeClock(), Sink()
    processor = limiter(clock, sink)
    await processor.start()
    assert admission().limit == 400 * MIB
    await processor.consume(traces(1))
    door.planted = 301 * MIB
    await clock.advance(1)
    with pytest.raises(Retry, match="memory use is above 400 MiB") as caught:
        await processor.consume(traces(1))
    assert caught.value.after == 1
    door.planted = 300 * MIB
    await clock.advance(1)
    await processor.consume(traces(1))
    assert sink.items == 2
    await processor.stop()
    await processor.stop()


async def test_several_limiters_share_one_door(
    door: PlantedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str | None] = []
    native = admission()

    class Spy:
        limit: int | None = None

        def refuse(self, reason: str | None, after: float = 1.0) -> None:
            said.append(reason)

    monkeypatch.setattr(memory_limiter, "admission", Spy)
    clock = FakeClock()
    small, large = limiter(clock, Sink(), 300), limiter(clock, Sink(), 500)
    await small.start()
    await large.start()
    door.planted = 350 * MIB
    await clock.advance(1)
    assert said[-1] == "memory use is above 240 MiB"
    door.planted = 250 * MIB
    await clock.advance(1)
    assert said[-1] == "memory use is above 240 MiB"
    await small.stop()
    assert said[-1] is None
    await large.stop()
    assert native.limit is None


async def test_a_limit_below_what_the_process_takes_is_a_problem(door: PlantedDoor) -> None:
    processor = limiter(FakeClock(), Sink(), 120)
    with pytest.raises(ConfigError, match=r"takes 101 MiB before any data.*\n.*limit_mib of 202"):
        await processor.start()
    await processor.stop()


def test_what_does_not_fit_is_a_problem() -> None:
    wrong = {
        "check_interval": "1s",
        "limit_mib": 500,
        "spike_limit_mib": 512,
        "min_gc_interval_when_hard_limited": "20s",
    }
    assert [problem.path for problem in Config.model_validate(wrong).check()] == [
        "spike_limit_mib",
        "min_gc_interval_when_hard_limited",
    ]
    nothing = Config.model_validate({"check_interval": "1s"})
    assert [problem.path for problem in nothing.check()] == ["limit_mib"]


async def test_reads_this_process() -> None:
    assert 1 * MIB < memory_limiter.resident() < memory_limiter.memory()
    await asyncio.sleep(0)
