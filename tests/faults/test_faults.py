"""Accepted means delivered, whatever happens: each fault once, for seconds.

`make soak` has the long form, and the Go collector beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import faults
import harness
import pytest
from _pytest.mark import ParameterSet
from faults import FAULTS, SHORT, Fault
from modes import DELIVERED, OURS, Mode
from stage import Impossible, Scale, Stage


def cases() -> Iterator[ParameterSet]:
    for fault in FAULTS:
        ours = [mode for mode in fault.modes if mode.collector == OURS]
        quick = ours[:1] if fault.quick is None else fault.quick
        for mode in ours:
            marks = () if mode in quick else pytest.mark.slow
            yield pytest.param(fault, mode, id=f"{fault.name}-{mode.name}", marks=marks)


@pytest.mark.parametrize(("fault", "mode"), list(cases()))
def test_accepted_is_delivered(fault: Fault, mode: Mode, tmp_path: Path) -> None:
    try:
        row = faults.run(fault, mode, SHORT, tmp_path)
    except Impossible as missing:
        pytest.skip(str(missing))
    assert not fault.wrong(row), row
    assert row.unfinished == 0, row


@pytest.mark.parametrize(
    ("wanted", "found", "missing"),
    [
        ([(0, 10)], [(0, 10)], []),
        ([(0, 10)], [], [(0, 10)]),
        ([(0, 10)], [(2, 3), (5, 8)], [(0, 2), (3, 5), (8, 10)]),
        ([(0, 4), (6, 9)], [(3, 7)], [(0, 3), (7, 9)]),
        ([(5, 6)], [(0, 2), (8, 9)], [(5, 6)]),
        ([], [(0, 2)], []),
    ],
)
def test_what_is_missing(wanted: harness.Runs, found: harness.Runs, missing: harness.Runs) -> None:
    assert harness.missing(wanted, found) == missing


def test_a_loss_is_seen(tmp_path: Path) -> None:
    """Spans that were accepted and then went nowhere are counted as lost."""

    def lose(stage: Stage, scale: Scale) -> None:
        stage.sinks[0].mood("forget")
        stage.flowing(1000)
        stage.sinks[0].mood("ok")

    fault = Fault("a backend that forgets", lose, ())
    row = faults.run(fault, DELIVERED, SHORT, tmp_path, patience=2)
    assert row.lost >= 1000
