"""Alarms ring when their time has come, and cost nothing until then."""

from __future__ import annotations

from heliograph.pipeline.alarms import TICK, Alarms
from heliograph.testing import FakeClock


class Counting(FakeClock):
    sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)


async def test_they_ring_at_most_a_tick_late() -> None:
    clock = FakeClock()
    alarms = Alarms(clock)
    rang: list[tuple[float, float]] = []
    for due in (60.0, 61.5, 1.0, 1.1, 30.0, 0.9):
        alarms.at(due, lambda due=due: rang.append((due, clock.monotonic())))  # type: ignore[misc]
        await clock.advance(0.1)
    taken_back = alarms.at(5.0, lambda: rang.append((5.0, 0.0)))
    alarms.off(taken_back)
    await clock.advance(100)
    assert sorted(due for due, _ in rang) == [0.9, 1.0, 1.1, 30.0, 60.0, 61.5]
    assert all(due <= at <= due + TICK for due, at in rang)
    await alarms.stop()


async def test_one_set_by_another_rings() -> None:
    clock = FakeClock()
    alarms = Alarms(clock)
    rang: list[float] = []

    def again() -> None:
        rang.append(clock.monotonic())
        if len(rang) < 3:
            alarms.at(clock.monotonic() + 10, again)

    alarms.at(10.0, again)
    await clock.advance(40)
    assert rang == [10.0, 20.0, 30.0]
    await alarms.stop()


async def test_nobody_wakes_before_the_first_is_due() -> None:
    clock = Counting()
    alarms = Alarms(clock)
    for due in range(100, 0, -1):
        alarms.at(float(due) + 1000, lambda: None)
    await clock.advance(1000)
    assert clock.sleeps <= 2
    await alarms.stop()
