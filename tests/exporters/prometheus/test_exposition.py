"""Golden files: batches in, pages out, in every format."""

from __future__ import annotations

import asyncio
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml
from rig import Rig

from heliograph.errors import Reject

FILES = sorted((Path(__file__).parent / "golden").glob("*.yaml"))


def test_there_are_golden_files() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path: Path, update: bool, caplog: pytest.LogCaptureFixture) -> None:
    """``steps`` are batches and ``wait`` between them, ``says`` is the log, ``shows`` the pages."""
    text = path.read_text()
    assert text.startswith("# "), f"{path.name} does not say what it guarantees"
    loaded = yaml.safe_load(text)
    shows = asyncio.run(play(loaded))
    says = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    if update:
        path.write_text(text[: text.index("\nsays:") + 1] + _written(says, shows))
        return
    assert says == loaded["says"]
    for style, page in shows.items():
        assert page == loaded["shows"][style], style


async def play(case: dict[str, Any]) -> dict[str, str]:
    """Take the steps, return the pages."""
    async with Rig(case.get("config")) as rig:
        for step in case["steps"]:
            if "wait" in step:
                await rig.clock.advance(step["wait"])
            elif "rejected" in step:
                with pytest.raises(Reject, match=step["rejected"]):
                    await rig.send(step["batch"])
            else:
                await rig.send(step["batch"])
        return {style: await rig.shows(style) for style in case["shows"]}


def _written(says: list[str], shows: dict[str, str]) -> str:
    lines = yaml.safe_dump({"says": says}, width=1000, sort_keys=False)
    pages: Any = "".join(
        f"  {style}: |\n{indent(page, '    ', lambda line: True)}" for style, page in shows.items()
    )
    return f"{lines}shows:\n{pages}"
