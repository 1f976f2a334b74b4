"""The fixtures see what each test records, and nothing of another; unused they cost nothing."""

import subprocess
import sys
import tomllib
from pathlib import Path

CODE = """
from opentelemetry import _logs, metrics, trace
tracer = trace.get_tracer("code")
counter = metrics.get_meter("code").create_counter("calls")
logger = _logs.get_logger("code")

def work(name):
    with tracer.start_as_current_span(name):
        counter.add(1, {"name": name})
        logger.emit(body=name)
"""

TESTS = """
import logging, pytest
from opentelemetry import trace
from heliograph.sdk.trace import TracerProvider
import code_under_test

@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_sees_its_own(spans, metrics, logs, name):
    code_under_test.work(name)
    assert [span.name for span in spans()] == [name]
    assert [one.log_record.body for one in logs()] == [name]
    (calls,) = metrics()
    (point,) = calls.data.data_points
    assert (calls.name, point.value, dict(point.attributes)) == ("calls", 1, {"name": name})
    assert metrics() == []

def test_outside():
    code_under_test.work("unseen")
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)

@pytest.mark.parametrize("number", range(2))
def test_sets_its_own(no_providers, number, caplog):
    mine = TracerProvider()
    trace.set_tracer_provider(mine)
    assert trace.get_tracer_provider() is mine
    assert caplog.records == []

def test_again(spans):
    assert spans() == []
    code_under_test.work("again")
    assert [span.name for span in spans()] == ["again"]
"""


def pytest_run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "heliograph.pytest_plugin", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_test_sees_what_it_recorded_also_in_workers(tmp_path: Path) -> None:
    (tmp_path / "code_under_test.py").write_text(CODE)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
    )
    for options in ((), ("-n", "2")):
        ended = pytest_run(tmp_path, "-W", "error", *options)
        assert "8 passed" in ended.stdout, ended.stdout + ended.stderr


def test_unused_it_imports_no_sdk(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_light():\n"
        "    assert 'heliograph.sdk' not in sys.modules\n"
        "    assert 'heliograph._core' not in sys.modules\n"
    )
    ended = pytest_run(tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    found = project["entry-points"]["pytest11"]
    assert found == {"heliograph.pytest_plugin": "heliograph.pytest_plugin"}
