"""When files count as changed."""

from __future__ import annotations

import os
from pathlib import Path

from heliograph.pipeline.changes import Core, Stamp, stamps

A, B = Path("a"), Path("b")


def stamp(number: int) -> Stamp:
    return 1, number, 1, number


def test_a_change_counts_once_it_has_settled() -> None:
    core = Core({A: stamp(1)})
    looks: list[tuple[Stamp, bool]] = [
        (stamp(1), False),
        (stamp(2), False),
        (stamp(3), False),
        (stamp(3), True),
        (stamp(3), False),
        (None, False),
        (stamp(4), False),
        (stamp(4), True),
        (None, False),
        (None, True),
    ]
    for number, (seen, changed) in enumerate(looks):
        assert core.observe({A: seen}) is changed, number


def test_a_file_that_was_just_read_for_the_first_time_has_not_changed() -> None:
    core = Core({A: stamp(1)})
    assert not core.observe({A: stamp(1), B: stamp(1)})
    assert not core.moving
    assert not core.observe({A: stamp(1), B: stamp(1)})
    assert not core.observe({A: stamp(1), B: stamp(2)})
    assert core.moving
    assert core.observe({A: stamp(1), B: stamp(2)})
    assert not core.observe({A: stamp(1)})


def test_a_change_back_is_none() -> None:
    core = Core({A: stamp(1)})
    assert not core.observe({A: stamp(2)})
    assert not core.observe({A: stamp(1)})
    assert not core.observe({A: stamp(1)})


def test_replacing_a_file_and_what_a_link_leads_to_is_seen(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("one")
    link.symlink_to("real")
    before = stamps([real, link])
    assert before[real] == before[link]
    (tmp_path / "new").write_text("two")
    os.utime(tmp_path / "new", ns=(0, real.stat().st_mtime_ns))
    os.replace(tmp_path / "new", real)
    after = stamps([real, link])
    assert after[link] == after[real] != before[real]
    real.unlink()
    assert stamps([real, link]) == {real: None, link: None}
