"""What happens to the collector itself: stops, kills, reloads, other clocks."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from modes import OURS
from stage import RATE, Impossible, Scale, Stage

from heliograph.pipeline.control import ask

FAKETIME = "*/faketime/libfaketimeMT.so.1"
DAY = 86_400
JUMPS = (DAY, -DAY, 3600, -3600, 5, -5)
"""Seconds by which the clock is off, one after the other; then it is right."""
WAYS = ({"limit_mib": 256, "timeout": "5s"}, {"limit_mib": 240, "timeout": "4s"})
"""What a reload changes, back and forth: the memory limiter and every exporter."""


def terminated(stage: Stage, scale: Scale) -> str:
    """SIGTERM under load; started again at once."""
    slowest = 0.0
    times = max(scale.times // 4, 2)
    for _ in range(times):
        stage.flowing(RATE // 4)
        began = time.monotonic()
        status = stage.terminate()
        slowest = max(slowest, time.monotonic() - began)
        assert status == 0, stage.collector.log.read_text()[-2000:]
        stage.start()
    stage.flowing()
    return f"{times} times, the longest took {slowest:.1f} s"


def restarted(stage: Stage, scale: Scale) -> str:
    """Stopped and started under load by a supervisor that holds the sockets."""
    return terminated(stage, scale)


def killed(stage: Stage, scale: Scale) -> str:
    """kill -9 at random moments, starts included; the backend is away half of the time."""
    chance = random.Random(scale.times)
    for turn in range(scale.times):
        stage.sinks[0].mood("ok" if turn % 2 else "down")
        if turn % 4 == 3:
            time.sleep(chance.uniform(0, 1.0))  # while it starts
        else:
            stage.ready()
            stage.hold(chance.uniform(0, 1.0))
        stage.kill()
        stage.spawn()
    stage.sinks[0].mood("ok")
    stage.ready()
    stage.flowing()
    return f"{scale.times} times"


def reloaded(stage: Stage, scale: Scale) -> str:
    """Reloads by SIGHUP and control socket under load; the backend is away half of the time."""
    slowest = 0.0
    for turn in range(scale.times):
        stage.sinks[0].mood("down" if turn % 10 < 5 else "ok")
        way = WAYS[(turn + 1) % 2]
        delivery = {**(scale.delivery or {}), "timeout": way["timeout"]}
        stage.write(limit_mib=way["limit_mib"], delivery=delivery)
        began = time.monotonic()
        _reload(stage, by_signal=turn % 2 == 0)
        slowest = max(slowest, time.monotonic() - began)
        if stage.mode.durable or turn % 10 >= 5:
            stage.flowing(RATE // 10)
    stage.sinks[0].mood("ok")
    stage.flowing()
    return f"{scale.times} times, the longest took {slowest:.1f} s"


def _reload(stage: Stage, *, by_signal: bool) -> None:
    if stage.mode.collector != OURS:
        before = stage.says("Everything is ready")
        stage.collector.child.send_signal(signal.SIGHUP)
        stage.until(lambda: stage.says("Everything is ready") > before, 60, "a reload")
    elif by_signal:
        before = stage.says("SIGHUP: reloaded")
        stage.collector.child.send_signal(signal.SIGHUP)
        stage.until(lambda: stage.says("SIGHUP: reloaded") > before, 60, "a reload")
    else:
        (control,) = stage.state.glob("*/control.sock")
        ask(control, "reload")


def clock(folder: Path) -> dict[str, str]:
    """The environment of a collector whose clock is what a file says.

    Raises: Impossible where there is no libfaketime.
    """
    found = [path for root in ("/usr/lib", "/usr/lib64") for path in Path(root).glob(FAKETIME)]
    if not found:
        raise Impossible("libfaketime is not installed")
    offset = folder / "clock"
    offset.write_text("+0\n")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def clock_jumps(stage: Stage, scale: Scale) -> str:
    """The clock jumps forth and back, days and seconds, while the backend is away, and after."""
    offset = stage.folder / "clock"
    pause = scale.outage / len(JUMPS)
    stage.sinks[0].mood("down")
    for number, jump in enumerate(JUMPS):
        if number == len(JUMPS) // 2:
            stage.sinks[0].mood("ok")
        offset.write_text(f"{jump:+d}\n")
        stage.hold(pause)
    offset.write_text("+0\n")
    stage.flowing()
    return ", ".join(f"{jump:+,d} s" for jump in JUMPS)
