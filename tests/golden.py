"""Step files: a configuration, steps, and what each step must lead to.

The first comment of a file says what it guarantees. ``pytest --update`` rewrites the expectations
that a step has, and writes all of them where it has none; the diff is reviewed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

Step = Mapping[str, Any]


def files(folder: Path) -> list[Path]:
    """Return the step files of a folder; there is at least one."""
    found = sorted(folder.glob("*.yaml"))
    assert found, f"no step files in {folder}"
    return found


def check(
    path: Path, outputs: set[str], make: Callable[[Any], Callable[[Step], Step]], update: bool
) -> None:
    """Hold a core to a step file.

    Args:
        outputs: keys of a step that are expectations; the others are given to the core.
        make: takes ``config``, returns what does one step and returns its outputs.
    """
    text = path.read_text()
    assert text.startswith("# "), f"{path.name} does not say what it guarantees"
    loaded = yaml.safe_load(text)
    do = make(loaded.get("config") or {})
    lines = []
    for number, step in enumerate(loaded["steps"], 1):
        given = {key: value for key, value in step.items() if key not in outputs}
        expected = {key: value for key, value in step.items() if key in outputs}
        got = do(given)
        assert set(got) <= outputs
        shown = {key: value for key, value in got.items() if key in expected or not expected}
        assert expected or update, f"{path.name}, step {number} expects nothing"
        assert update or shown == expected, f"{path.name}, step {number}: {step}"
        lines.append(f"  - {_flow({**given, **shown})}")
    if update:
        head = text[: text.index("steps:")]
        path.write_text(head + "\n".join(["steps:", *lines]) + "\n")


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).strip()
