"""What happens to the disk: full, read-only, damaged; and disks of our own, to do that to."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import segments
from modes import OURS, STATE
from stage import RATE, Impossible, Scale, Stage

SMALL = 3
"""MiB of a disk that is to be full."""
LARGE = 512
"""MiB of one that has room."""


def mount(*options: str | Path) -> None:
    """Mount something. Raises: Impossible where that is not allowed."""
    try:
        subprocess.run(["mount", *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Impossible(f"nothing can be mounted here: {error}") from error


def unmount(at: Path) -> None:
    subprocess.run(["umount", "--lazy", at], check=True)


def _memory_disk(mib: int, folder: Path) -> Iterator[None]:
    state = folder / STATE
    state.mkdir()
    mount("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", state)
    try:
        yield
    finally:
        unmount(state)


@contextmanager
def small(folder: Path) -> Iterator[None]:
    """Put what a collector keeps on a disk that is soon full."""
    yield from _memory_disk(SMALL, folder)


@contextmanager
def large(folder: Path) -> Iterator[None]:
    """Put what a collector keeps on a disk of its own."""
    yield from _memory_disk(LARGE, folder)


def disk_full(stage: Stage, scale: Scale) -> str:
    """The backend is away until the disk is full; then there is room again, then the backend."""
    stage.sinks[0].mood("down")
    time_full = _until_full(stage)
    stage.hold(scale.outage)
    before = stage.accepted()
    mount("-o", f"remount,size={LARGE}m", stage.state)
    stage.flowing(RATE, seconds=60)
    again = stage.accepted() - before
    stage.sinks[0].mood("ok")
    stage.flowing()
    return f"{SMALL} MiB, full after {time_full:.1f} s; with room {again:,} more at once"


def _until_full(stage: Stage) -> float:
    """Return after how many seconds nothing more was accepted for a while."""
    began = last = time.monotonic()
    most = stage.accepted()
    while time.monotonic() - last < 1 and time.monotonic() - began < 60:
        stage.hold(0.1)
        if stage.accepted() > most:
            most, last = stage.accepted(), time.monotonic()
    return last - began


def read_only(stage: Stage, scale: Scale) -> str:
    """With a backlog, the disk cannot be written at the next start, then can at the one after."""
    stage.sinks[0].mood("down")
    stage.flowing()
    stage.terminate()
    mount("-o", "remount,ro", stage.state)
    stage.start()
    said = stage.says("senders wait until their data is delivered")
    assert said, stage.collector.log.read_text()[-2000:]
    stage.hold(scale.outage)
    stage.sinks[0].mood("ok")
    stage.flowing()
    stage.terminate()
    mount("-o", "remount,rw", stage.state)
    stage.start()
    stage.flowing()
    return "served without a journal meanwhile, and said so"


def flipped(stage: Stage, scale: Scale) -> str:
    """Bits of what waits on disk are flipped while the collector is away."""

    def flip(path: Path, chance: random.Random) -> None:
        data = bytearray(path.read_bytes())
        at = chance.randrange(len(data) // 8, len(data))
        data[at] ^= 1 << chance.randrange(8)
        path.write_bytes(data)

    return _damaged(stage, scale, flip)


def truncated(stage: Stage, scale: Scale) -> str:
    """Files of what waits on disk are cut while the collector is away."""

    def cut(path: Path, chance: random.Random) -> None:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.truncate(chance.randrange(size // 8, size))

    return _damaged(stage, scale, cut)


def _damaged(stage: Stage, scale: Scale, damage: object) -> str:
    chance = random.Random(scale.times)
    stage.sinks[0].mood("down")
    stage.flowing(int(RATE * max(scale.outage, 3)), seconds=scale.outage * 3 + 30)
    stage.kill()
    ours = stage.mode.collector == OURS
    pattern = "*/journal/*.seg" if ours else "file_storage/*"
    files = sorted(path for path in stage.state.glob(pattern) if path.stat().st_size > 1000)
    hit = chance.sample(files, max(1, len(files) // 2))
    before = segments.spans(files) if ours else 0
    for path in hit:
        damage(path, chance)  # type: ignore[operator]
    if ours:
        stage.destroyed = before - segments.spans(files)
    stage.sinks[0].mood("ok")
    if not ours:
        return f"{len(hit)} of {len(files)} files damaged{_start_again(stage, files)}"
    stage.start()
    stage.flowing()
    log = stage.collector.log.read_text()
    skipped = sum(map(int, re.findall(r": (\d+) bytes are skipped", log)))
    told = len(re.findall(r"bytes are skipped|cannot be read any more", log))
    assert told, log[-2000:]
    return (
        f"{len(hit)} of {len(files)} files damaged, {stage.destroyed:,} spans destroyed; "
        f"{told} lines say so, of {skipped / 1024:,.0f} KiB"
    )


def _start_again(stage: Stage, files: Sequence[Path]) -> str:
    """Start a collector that may not bear what it finds; without it then. Return what to say."""
    try:
        stage.start()
        stage.flowing()
    except RuntimeError:
        for path in files:
            path.unlink()
        stage.start()
        stage.flowing()
        return "; it crashed until they were deleted"
    return ""
