"""The process: signals, draining, exit statuses, its log."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest
from processes import Collector, command

SOURCE = '''
"""Numbered requests, as fast as they are taken."""
import asyncio
from heliograph.errors import DeliveryError
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig
from heliograph.testing import logs


class Config(ComponentConfig):
    senders: int = 1
    fail: bool = False


class Receiver:
    signals = frozenset({Signal.LOGS})

    def __init__(self, config, settings, next):
        self.config, self.settings, self.next = config, settings, next[Signal.LOGS]
        self.number = 0
        self.stopping = False
        self.tasks = []

    async def start(self):
        if self.config.fail:
            self.settings.failed(OSError("the source has dried up"))
        self.tasks = [asyncio.create_task(self.send()) for _ in range(self.config.senders)]

    async def stop(self):
        self.stopping = True
        await asyncio.gather(*self.tasks)

    async def send(self):
        while not self.stopping:
            self.number += 1
            body = f"<{self.number}>"
            try:
                await self.next.consume(logs(1, body=body))
            except DeliveryError as error:
                await asyncio.sleep(0.01)
            else:
                print("accepted", body, flush=True)
'''

END = '''
"""Writes what it takes; slowly."""
import asyncio, re
from heliograph.errors import ConfigError, Problem
from heliograph.otlp import Signal
from heliograph.pipeline.delivery import DeliveryConfig


class Config(DeliveryConfig):
    seconds: float = 0.0
    broken: bool = False


class Exporter:
    signals = frozenset({Signal.LOGS})

    def __init__(self, config, settings):
        self.config = config

    async def start(self):
        if self.config.broken:
            raise ConfigError([Problem("broken", "is true", fix="use false")])

    async def consume(self, batch):
        await asyncio.sleep(self.config.seconds)
        for body in re.findall("<[0-9]+>", batch.json().decode()):
            print("delivered", body, flush=True)

    async def stop(self):
        pass
'''


def write(
    folder: Path, source: str = "{}", end: str = "{}", telemetry: str = "{}", processors: str = ""
) -> Path:
    (folder / "source.py").write_text(SOURCE)
    (folder / "end.py").write_text(END)
    path = folder / "collector.yaml"
    path.write_text(f"""
receivers: {{source: {source}}}
processors: {{{processors and "batch: {timeout: 1s}"}}}
exporters: {{end: {end}}}
extensions: {{health_check: {{endpoint: "127.0.0.1:0"}}}}
service:
  components: [source.py, end.py]
  extensions: [health_check]
  telemetry: {telemetry}
  pipelines:
    logs: {{receivers: [source], processors: [{processors}], exporters: [end]}}
""")
    return path


def numbers(lines: list[str], word: str) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith(word)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
@pytest.mark.parametrize("processors", ["", "batch"])
def test_a_signal_drains_and_all_that_was_accepted_is_delivered(
    tmp_path: Path, number: signal.Signals, processors: str
) -> None:
    config = write(tmp_path, "{senders: 25}", "{seconds: 0.05}", processors=processors)
    with Collector(config) as collector:
        collector.until(lambda: len(collector.out) > 300)
        collector.signal(number)
        assert collector.wait() == 0
    accepted = numbers(collector.out, "accepted")
    assert len(accepted) > 100
    assert accepted == numbers(collector.out, "delivered")
    assert collector.says(f"{number.name}: stopping")
    assert collector.err[-1].endswith("INFO  stopped")


def test_says_what_flows_where(tmp_path: Path) -> None:
    with Collector(write(tmp_path, processors="batch")) as collector:
        collector.until(lambda: collector.says("ready"))
        assert collector.says("pipeline logs: source → batch → end")
        assert collector.says("extensions.health_check: answers probes on 127.0.0.1")


def test_draining_has_a_deadline_and_a_second_signal_ends_it(tmp_path: Path) -> None:
    config = write(tmp_path, "{senders: 1}", "{seconds: 3600, timeout: 0s}")
    with Collector(config) as collector:
        collector.until(lambda: collector.says("ready"))
        collector.signal()
        collector.until(lambda: collector.says("SIGTERM: stopping"))
        collector.signal()
        assert collector.wait() == 1
    assert collector.says("not waiting any longer")


def test_a_component_that_cannot_go_on_ends_the_process(tmp_path: Path) -> None:
    with Collector(write(tmp_path, "{fail: true}")) as collector:
        assert collector.wait() == 1
    assert collector.says("a component cannot go on: the source has dried up")
    assert numbers(collector.out, "accepted") == numbers(collector.out, "delivered")


def test_a_world_that_does_not_fit_is_printed_with_its_place(tmp_path: Path) -> None:
    with Collector(write(tmp_path, end="{broken: true}")) as collector:
        assert collector.wait() == 1
    told = "\n".join(collector.err)
    assert re.search(
        r"collector\.yaml:4:\d+: exporters\.end\.broken: is true\n    fix: use false", told
    )
    assert "Traceback" not in told


def test_the_log_as_json_from_a_level_on(tmp_path: Path) -> None:
    telemetry = "{logs: {level: info, encoding: json, initial_fields: {zone: a}}}"
    with Collector(write(tmp_path, telemetry=telemetry)) as collector:
        collector.until(lambda: collector.says("ready"))
        collector.signal()
        assert collector.wait() == 0
    lines = [json.loads(line) for line in collector.err]
    assert {line["level"] for line in lines} == {"info"}, lines
    assert {line["zone"] for line in lines} == {"a"}
    assert "extensions.health_check" in {line["component"] for line in lines}


def test_a_quiet_log(tmp_path: Path) -> None:
    with Collector(write(tmp_path, telemetry="{logs: {level: error}}")) as collector:
        collector.until(lambda: len(collector.out) > 5)
        collector.signal()
        assert collector.wait() == 0
    assert collector.err == []


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write(tmp_path)
        port = taken.getsockname()[1]
        config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        with Collector(config) as collector:
            assert collector.wait() == 1
    assert collector.says(f"extensions.health_check.endpoint: 127.0.0.1:{port} is in use")


def test_own_metrics_are_shown_and_add_up(tmp_path: Path) -> None:
    telemetry = '{metrics: {address: "127.0.0.1:0"}}'
    config = write(tmp_path, "{senders: 5}", telemetry=telemetry, processors="batch")
    with Collector(config, page=True) as collector:
        collector.until(lambda: len(collector.out) > 100)
        found = re.search(r"127\.0\.0\.1:(\d+)/metrics", "\n".join(collector.err))
        assert found is not None
        with urllib.request.urlopen(f"http://{found[0]}", timeout=10) as page:
            text = page.read().decode()
        collector.signal()
        assert collector.wait() == 0
    counts = dict(re.findall(r"^(otelcol_\w+|heliograph_\w+)(?:\{.*\})? ([0-9.]+)$", text, re.M))
    assert float(counts["otelcol_receiver_accepted_log_records"]) > 10
    assert float(counts["otelcol_process_memory_rss"]) > 1e7
    incoming, outgoing = (
        float(counts[f"otelcol_processor_{way}_items"]) for way in ("incoming", "outgoing")
    )
    assert 0 <= incoming - outgoing <= 5, "each of the senders waits for its answer"
    assert counts["heliograph_processor_created_items"] == "0"


def test_a_taken_port_for_own_metrics_ends_the_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = write(tmp_path, telemetry=f'{{metrics: {{address: "{address}"}}}}')
        with Collector(config, page=True) as collector:
            assert collector.wait() == 1
    told = "\n".join(collector.err)
    place = r"collector\.yaml:\d+:\d+: service\.telemetry\.metrics\.address"
    assert re.search(f"{place}: {address} is in use by another program", told)


def test_what_a_running_collector_says_of_itself(tmp_path: Path) -> None:
    config = write(tmp_path, "{senders: 5}", processors="batch")
    with Collector(config) as collector:
        collector.until(lambda: len(collector.out) > 100 and collector.says("control socket"))
        asked = ["collector", "status", "--config", str(config)]
        table, data = command(*asked), command(*asked, "--json")
        collector.signal()
        assert collector.wait() == 0
    assert (table.returncode, table.stderr) == (0, "")
    assert re.search(r"▶ source +\d", table.stdout)
    assert re.search(r"│ batch +\d", table.stdout)
    status = json.loads(data.stdout)
    assert status["process"]["pid"] == collector.process.pid
    assert status["process"]["config"] == [str(config)]
    (pipeline,) = status["pipelines"]
    source, batch, end = (step["counts"] for step in pipeline["steps"])
    assert source["received"] >= source["accepted"] > 10
    assert batch["incoming"] == source["received"]
    assert end["sent"] > 10
    (exporter,) = status["exporters"]
    assert exporter["queue"]["fill"] == 0
    assert exporter["failing"] is None
