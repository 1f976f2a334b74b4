"""What each delivery mode survives: the table of docs/guide/delivery.md is made of these runs.

``pytest -n 0 tests/faults/test_survival.py --update`` writes it.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from disks import mount, unmount
from faults import HASTE
from modes import DELIVERED, FIRST, MEMORY, SPILL, STATE, Mode
from stage import RATE, Impossible, Stage

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "delivery.md"
START, END = "<!-- survival -->\n", "<!-- /survival -->\n"
SYNCED = replace(
    FIRST, name="journal first, fsync: each", journal={**(FIRST.journal or {}), "fsync": "each"}
)
MODES = (DELIVERED, SPILL, FIRST, SYNCED, MEMORY)
IMAGE_MIB = 256


def stop(stage: Stage) -> None:
    """SIGTERM while all is well."""
    stage.flowing()
    stage.terminate()
    stage.start()


def stop_without_backend(stage: Stage) -> None:
    """SIGTERM while the backend is away."""
    away(stage)
    stage.terminate()
    stage.start()
    stage.sinks[0].mood("ok")


def kill(stage: Stage) -> None:
    """SIGKILL while the backend is away."""
    away(stage)
    stage.kill()
    stage.start()
    stage.sinks[0].mood("ok")


def power_loss(stage: Stage) -> None:
    """The disk as it is at this moment, without what the system had only in memory."""
    away(stage)
    state = stage.state
    stage.kill()  # first, so that nothing is acknowledged while the disk is copied
    shutil.copyfile(stage.folder / "image", stage.folder / "after")
    unmount(state)
    attach(stage.folder / "after", state)
    stage.start()
    stage.sinks[0].mood("ok")


def away(stage: Stage) -> None:
    stage.sinks[0].mood("down")
    try:
        stage.flowing(RATE, seconds=8)
    except TimeoutError:
        stage.hold(0.5)  # senders wait, as they have to where nothing is kept


EVENTS: dict[str, Callable[[Stage], None]] = {
    "SIGTERM": stop,
    "SIGTERM, backend away": stop_without_backend,
    "kill -9": kill,
    "power loss": power_loss,
}


def can_mount() -> bool:
    """Whether this machine lets us mount a disk of our own, which a power loss needs."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image")
        at = Path(folder, "at")
        at.mkdir()
        try:
            make_disk(image, 8)
            attach(image, at)
        except (OSError, subprocess.CalledProcessError, Impossible):
            return False
        unmount(at)
        return True


def attach(image: Path, at: Path) -> None:
    mount("-o", "loop,noatime", image, at)


def make_disk(image: Path, mib: int) -> None:
    with image.open("wb") as file:
        file.truncate(mib * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)


@contextmanager
def disk(folder: Path, wanted: bool) -> Iterator[None]:
    """Put the collector's state on a file system of its own, whose disk can be copied."""
    if not wanted:
        yield
        return
    state = folder / STATE
    state.mkdir()
    make_disk(folder / "image", IMAGE_MIB)
    attach(folder / "image", state)
    try:
        yield
    finally:
        unmount(state)


def outcome(mode: Mode, event: str, folder: Path) -> str:
    """Run it; return the table's cell."""
    on_disk = EVENTS[event] is power_loss
    with disk(folder, on_disk), Stage(mode, folder, delivery=HASTE) as stage:
        stage.load(rate=RATE)
        stage.flowing()
        EVENTS[event](stage)
        row = stage.row(event, patience=3 if mode.forgets else 20)
    assert row.unfinished == 0, row
    if on_disk and mode in (SPILL, FIRST):  # whether a sync came just in time is chance
        assert row.lost < RATE, row
        return "lost: at most the last 200 ms"
    return "nothing is lost" if row.lost == 0 else "lost: what waited"


def rows() -> dict[str, dict[str, str]]:
    """The table as it stands in the guide."""
    lines = GUIDE.read_text().partition(START)[2].partition(END)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells[2:]}


QUICK = {("spill", "kill -9"), (SYNCED.name, "power loss"), ("memory", "kill -9")}
"""What the default run looks at; `make soak` looks at all."""
CASES = [
    pytest.param(
        mode,
        event,
        id=f"{mode.name}-{event}",
        marks=() if (mode.name, event) in QUICK else pytest.mark.slow,
    )
    for mode in MODES
    for event in EVENTS
]


@pytest.mark.parametrize(("mode", "event"), CASES)
def test_the_table_is_true(mode: Mode, event: str, tmp_path: Path, update: bool) -> None:
    if EVENTS[event] is power_loss and not can_mount():
        pytest.skip("a power loss is simulated on a disk image, which cannot be mounted here")
    found = outcome(mode, event, tmp_path)
    if update:
        table = rows()
        table.setdefault(mode.name, {})[event] = found
        write(table)
    assert found == rows()[mode.name][event]


def write(table: dict[str, dict[str, str]]) -> None:
    lines = [f"| mode | {' | '.join(EVENTS)} |", f"|---|{'---|' * len(EVENTS)}"]
    for mode in MODES:
        if mode.name in table:
            cells = [table[mode.name].get(event, "") for event in EVENTS]
            lines.append(f"| {mode.name} | {' | '.join(cells)} |")
    text = GUIDE.read_text()
    head, _, rest = text.partition(START)
    tail = rest.partition(END)[2]
    GUIDE.write_text(head + START + "\n".join(lines) + "\n" + END + tail)
