"""Components from outside the tree work: a file beside the configuration, an installed package."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from processes import Collector

from heliograph.errors import ConfigError
from heliograph.pipeline.component import ComponentId, Kind
from heliograph.pipeline.config import load
from heliograph.pipeline.registry import Registry
from heliograph.testing import FakeClock, Sink, logs, settings, traces

EXAMPLE = Path(__file__).parents[1] / "examples" / "custom"


def test_files_beside_the_configuration_run() -> None:
    with Collector(EXAMPLE / "collector.yaml", env={"HOSTNAME": "here"}) as collector:
        collector.until(lambda: len(collector.out) > 1)
        collector.signal()
        assert collector.wait() == 0
    record = json.loads(collector.out[0])["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    assert record["body"] == {"stringValue": "alive on here"}


async def test_a_processor_sees_columns() -> None:
    registry = Registry()
    registry.add_file(EXAMPLE / "quiet.py")
    module = registry.module(Kind.PROCESSOR, "quiet")
    assert module is not None
    sink, given = Sink(), settings()
    processor = module.Processor(module.Config(below=10), given, sink)
    await processor.consume(logs(3))
    assert sink.items == 0
    assert given.telemetry.value("quiet_dropped") == 3
    processor = module.Processor(module.Config(below=9), given, sink)
    await processor.consume(batch := logs(3))
    assert bytes(sink.batches[0].wire()) == bytes(batch.wire())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's package as an installer leaves it: its code, and a record of entry points."""
    package = EXAMPLE / "package"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    shutil.copytree(package / "src", tmp_path, dirs_exist_ok=True)
    info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{entry} = {module}\n" for entry, module in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "heliograph_ratelimit", raising=False)
    return tmp_path


def write(folder: Path, processor: str) -> str:
    shutil.copy(EXAMPLE / "heartbeat.py", folder)
    path = folder / "collector.yaml"
    path.write_text(f"""
receivers: {{heartbeat: }}
processors: {{ratelimit: {processor}}}
exporters: {{nop: }}
service:
  components: [heartbeat.py]
  pipelines: {{logs: {{receivers: [heartbeat], processors: [ratelimit], exporters: [nop]}}}}
""")
    return str(path)


async def test_a_package_adds_a_type(installed: Path) -> None:
    config = load([write(installed, "{items_per_second: 10, burst: 5}")])
    spec = config.component(Kind.PROCESSOR, ComponentId("ratelimit"))
    sink, clock = Sink(), FakeClock()
    processor = spec.factory(spec.config, settings(clock=clock), sink)
    await processor.consume(traces(10))
    with pytest.raises(Exception, match="above the rate limit") as caught:
        await processor.consume(traces(1))
    await clock.advance(caught.value.after)
    await processor.consume(traces(1))
    assert sink.items == 11


def test_its_options_are_checked_like_any_others(installed: Path) -> None:
    with pytest.raises(ConfigError, match=r"processors\.ratelimit\.items_per_secnd"):
        load([write(installed, "{items_per_secnd: 10}")])
