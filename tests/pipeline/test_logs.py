"""How the program's own log looks."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.pipeline.config import LogsTelemetry
from heliograph.pipeline.logs import Sampling, limited, set_up
from heliograph.pipeline.sparingly import Sparingly
from heliograph.testing import FakeClock


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    log = logging.getLogger("heliograph")
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    yield
    for handler in log.handlers:
        handler.close()
    log.handlers[:], log.level, log.propagate = handlers, level, propagate


def test_lines_for_people(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = set_up(LogsTelemetry(output_paths=(str(path),)))
    log.getChild("exporters.otlp/2").warning("cannot %s", "deliver")
    log.debug("not this")
    line = path.read_text()
    assert line.endswith("Z WARN  exporters.otlp/2: cannot deliver\n")
    assert line.count("\n") == 1


def test_json_with_the_traceback_on_the_same_line(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in "ab"]
    log = set_up(LogsTelemetry(level="debug", encoding="json", output_paths=tuple(paths)))
    try:
        raise KeyError("x")
    except KeyError:
        log.getChild("processors.p").exception("broken\nin two")
    first, second = (Path(path).read_text() for path in paths)
    assert first == second
    line = json.loads(first)
    assert (line["level"], line["component"], line["msg"]) == (
        "error",
        "processors.p",
        "broken\nin two",
    )
    assert "KeyError" in line["stacktrace"]


def test_equal_lines_are_sampled() -> None:
    sampling = Sampling(LogsTelemetry(sampling_initial=2, sampling_thereafter=3, sampling_tick=1))

    def passes(at: float, message: str = "same") -> bool:
        record = logging.makeLogRecord({"name": "", "levelno": 20, "msg": message})
        left_out.extend(sampling.left_out(at))
        return sampling.filter(record)

    left_out: list[Any] = []
    assert [passes(10) for _ in range(8)] == [True, True, False, False, True, False, False, True]
    assert passes(10.9, "other")
    assert left_out == []
    assert passes(11.1)
    assert left_out == [("", 20, "same", 4)]
    assert sampling.suppressed == 4


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "log"
    config = LogsTelemetry(output_paths=(str(path),), sampling_initial=1, sampling_thereafter=0)
    log = set_up(config)
    for _ in range(4):
        log.getChild("exporters.a").warning("again")
    handler = limited(log)
    assert handler is not None
    handler.close()
    assert handler.suppressed == 3
    lines = [line.partition("Z ")[2] for line in path.read_text().splitlines()]
    assert lines == [
        "WARN  exporters.a: again",
        "WARN  exporters.a: 3 more of these lines were left out: again",
    ]


async def test_said_sparingly(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    say = Sparingly(logging.getLogger("x"), clock.monotonic, every=10)
    for _ in range(4):
        say.error("a", "lost one")
    say.error("b", "another")
    await clock.advance(10)
    say.error("a", "lost one")
    assert caplog.messages == ["lost one", "another", "lost one (3 more like this since 10 s ago)"]
