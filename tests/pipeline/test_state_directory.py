"""Where a collector keeps its state, and who may have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.pipeline.state import SLOTS, claim, state_directory


def test_the_directory_follows_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HELIOGRAPH_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    one = state_directory(["a.yaml"])
    assert one.parent == Path("/xdg/heliograph")
    assert one.name.startswith("collector-")
    assert len(one.name) == len("collector-") + 8
    absolute = str(tmp_path / "a.yaml")
    assert one == state_directory([absolute]) == state_directory([f"file:{absolute}"])
    others = [["b.yaml"], ["a.yaml", "b.yaml"], ["b.yaml", "a.yaml"], ["env:a.yaml"]]
    assert len({one, *map(state_directory, others)}) == 5
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert state_directory(["a.yaml"]).parent == Path("/home/me/.local/state/heliograph")
    monkeypatch.setenv("HELIOGRAPH_STATE_DIR", "state")
    assert state_directory(["a.yaml"]).parent == tmp_path / "state"


def test_each_collector_has_one_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELIOGRAPH_STATE_DIR", str(tmp_path))
    claimed = [claim(["a.yaml"]) for _ in range(SLOTS)]
    assert len({state.path for state in claimed}) == SLOTS
    assert claimed[0].path == state_directory(["a.yaml"])
    assert claimed[1].path.name == f"{claimed[0].path.name}-2"
    assert claimed[0].path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(OSError, match="8 collectors run with this configuration"):
        claim(["a.yaml"])
    claimed[2].release()
    again = claim(["a.yaml"])
    assert again.path == claimed[2].path
    for state in (*claimed[:2], *claimed[3:], again):
        state.release()
