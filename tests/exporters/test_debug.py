"""The debug exporter prints what the Go collector's users know; golden files are in debug/."""

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.errors import ConfigError
from heliograph.exporters.debug import Config, Core, Exporter, Verbosity, render
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Kind
from heliograph.testing import FakeClock, logs, metrics, settings, traces

Golden = Callable[[Path, str], None]
GOLDEN = Path(__file__).parent / "debug"
SIGNALS = {"traces": Signal.TRACES, "logs": Signal.LOGS, "metrics": Signal.METRICS}


@pytest.mark.parametrize("verbosity", [Verbosity.NORMAL, Verbosity.DETAILED])
@pytest.mark.parametrize("name", SIGNALS)
def test_golden(name: str, verbosity: Verbosity, golden: Golden) -> None:
    batch = Batch.from_json((GOLDEN / f"{name}.json").read_bytes(), SIGNALS[name])
    printed = "\n".join(render(batch, verbosity)) + "\n"
    golden(GOLDEN / f"{name}.{verbosity}.txt", printed)


@pytest.mark.parametrize(
    ("batch", "summary"),
    [
        (traces(2), 'Traces {"resource spans": 1, "spans": 2}'),
        (logs(3), 'Logs {"resource logs": 1, "log records": 3}'),
        (metrics(4), 'Metrics {"resource metrics": 1, "metrics": 1, "data points": 4}'),
        (Batch(Signal.TRACES, b""), 'Traces {"resource spans": 0, "spans": 0}'),
        (Batch(Signal.PROFILES, b"\x0a\x00"), 'Profiles {"bytes": 2}'),
    ],
)
def test_basic_is_one_line_of_counts(batch: Batch, summary: str) -> None:
    assert render(batch, Verbosity.BASIC) == [summary]


def test_what_is_malformed_deep_inside_is_said() -> None:
    data = bytes(traces(1, padding=3).wire()).replace(b"xxx", b"x\xffx")
    summary, said = render(Batch(Signal.TRACES, data), Verbosity.DETAILED)
    assert summary == 'Traces {"resource spans": 1, "spans": 1}'
    assert said.startswith("cannot be printed: a string is not UTF-8 at byte ")


def test_sampling_counts_per_signal_and_second() -> None:
    core = Core(initial=2, thereafter=3)
    kept = [core.keep(Signal.TRACES, 10.0 + step / 100) for step in range(8)]
    assert kept == [True, True, False, False, True, False, False, True]
    assert core.keep(Signal.LOGS, 10.5)
    assert core.keep(Signal.TRACES, 11.0)


def test_sampling_of_nothing_thereafter() -> None:
    core = Core(initial=1, thereafter=0)
    assert [core.keep(Signal.LOGS, 0.0) for _ in range(3)] == [True, False, False]


async def test_prints_into_the_log_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    exporter = Exporter(Config(verbosity="normal"), settings("debug", Kind.EXPORTER))
    await exporter.start()
    await exporter.consume(traces(1, name="buy"))
    await exporter.stop()
    assert [record.name for record in caplog.records] == ["heliograph.exporters.debug"] * 2
    assert caplog.messages[0] == 'Traces {"resource spans": 1, "spans": 1}'
    assert caplog.messages[1].splitlines()[2].startswith("buy 0 0000")


async def test_prints_to_standard_output_and_to_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    path = tmp_path / "debug.txt"
    path.write_text("before\n")
    config = Config(
        use_internal_logger=False,
        output_paths=("stdout", str(path)),
        sampling_initial=1,
        sampling_thereafter=0,
    )
    clock = FakeClock()
    exporter = Exporter(config, settings("debug", Kind.EXPORTER, clock=clock))
    await exporter.start()
    for _ in range(3):
        await exporter.consume(logs(1))
    await clock.advance(1)
    await exporter.consume(logs(2))
    await exporter.stop()
    await exporter.stop()
    lines = [f'Logs {{"resource logs": 1, "log records": {n}}}\n' for n in (1, 2)]
    assert out.getvalue() == "".join(lines)
    assert path.read_text() == "before\n" + "".join(lines)


async def test_a_file_that_cannot_be_opened_is_a_wrong_configuration(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "debug.txt"
    config = Config(use_internal_logger=False, output_paths=(str(path),))
    exporter = Exporter(config, settings("debug", Kind.EXPORTER))
    with pytest.raises(ConfigError) as caught:
        await exporter.start()
    assert str(caught.value) == f"exporters.debug.output_paths: {path}: No such file or directory"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"use_internal_logger": False, "output_paths": []}, "output_paths: is empty"),
        ({"output_paths": ["stderr"]}, "output_paths: has no effect while"),
    ],
)
def test_options_that_contradict(fields: dict[str, object], problem: str) -> None:
    (found,) = Config.model_validate(fields).check()
    assert str(found).startswith(problem)
