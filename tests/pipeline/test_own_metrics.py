"""The program's own metrics: the page, its formats, and the list of what there is."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from graphs import World
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from heliograph.errors import ConfigError
from heliograph.otlp import Signal
from heliograph.pipeline.component import Edge, through
from heliograph.pipeline.config.model import MetricsPage, MetricsTelemetry
from heliograph.pipeline.config.model import Telemetry as Config
from heliograph.pipeline.own.exposition import Style, exposition, negotiate
from heliograph.pipeline.own.known import KNOWN, TEMPLATES
from heliograph.pipeline.own.service import OwnTelemetry
from heliograph.pipeline.telemetry import Telemetry
from heliograph.testing import traces

ROOT = Path(__file__).parents[2]
LOG = logging.getLogger("heliograph")
RESOURCE = {"service.name": "heliograph", "service.instance.id": "one"}
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def counted() -> Telemetry:
    """Return a telemetry with one of each kind."""
    telemetry = Telemetry()
    telemetry.counter(
        "otelcol_receiver_accepted_spans", receiver='a"b\\', transport="grpc"
    ).value = 5
    telemetry.counter("heliograph_loop_held", component="processors.slow").value = 1
    labels = {"processor": "batch", "otel.signal": "traces"}
    telemetry.counter("otelcol_processor_incoming_items", **labels).value = 7
    telemetry.counter("my_own_count").value = 2
    telemetry.gauge("otelcol_exporter_queue_size", lambda: 3.5, exporter="otlp")
    telemetry.gauge("otelcol_process_uptime", lambda: 2.0)
    telemetry.gauge("otelcol_process_memory_rss", lambda: 1e7)
    telemetry.gauge("broken", lambda: 1 // 0)
    name = "otelcol_processor_batch_batch_send_size"
    histogram = telemetry.histogram(name, [10, 100], processor="batch")
    for value in (1, 10, 11, 1000):
        histogram.record(value)
    telemetry.histogram(f"{name}_bytes", [128], processor="batch").record(5)
    return telemetry


def page(style: Style, level: str = "normal") -> str:
    return "".join(exposition(counted().readings(), RESOURCE, style, level))


def values(text: str, parse: Any = families) -> dict[tuple[str, ...], float]:
    """Return every sample by name and label values; the parser gives counters their ``_total``."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_classic_text_has_the_names_of_the_go_collector() -> None:
    text = page(Style())
    lines = text.splitlines()
    assert r'otelcol_receiver_accepted_spans{receiver="a\"b\\",transport="grpc"} 5' in lines
    assert 'otelcol_processor_incoming_items{otel_signal="traces",processor="batch"} 7' in lines
    assert "otelcol_process_uptime 2" in lines
    assert "broken" not in text
    found = values(text)
    assert found["otelcol_receiver_accepted_spans_total", 'a"b\\', "grpc"] == 5
    assert found["otelcol_exporter_queue_size", "otlp"] == 3.5
    assert found["my_own_count_total",] == 2
    name = "otelcol_processor_batch_batch_send_size"
    buckets = {key[1]: value for key, value in found.items() if key[0] == f"{name}_bucket"}
    assert buckets == {"10": 2, "100": 3, "+Inf": 4}
    assert (found[f"{name}_sum", "batch"], found[f"{name}_count", "batch"]) == (1022, 4)
    assert found["target_info", "heliograph", "one"] == 1


def test_types_are_told() -> None:
    types = {family.name: family.type for family in families(page(Style()))}
    assert types["otelcol_receiver_accepted_spans"] == "counter"
    assert types["otelcol_process_uptime"] == "counter"
    assert types["otelcol_exporter_queue_size"] == "gauge"
    assert types["otelcol_processor_batch_batch_send_size"] == "histogram"


def test_open_metrics() -> None:
    text = page(Style(open_metrics=True))
    found = values(text, open_families)
    assert found["otelcol_receiver_accepted_spans_total", 'a"b\\', "grpc"] == 5
    assert found["target_info", "heliograph", "one"] == 1
    assert text.endswith("# EOF\n")


def test_utf8_names_are_quoted() -> None:
    text = page(Style(utf8=True))
    assert 'incoming_items{"otel.signal"="traces",processor="batch"} 7' in text
    assert values(text)["target_info", "heliograph", "one"] == 1


def test_suffixes_when_they_are_asked_for() -> None:
    found = values(page(Style(total=True, units=True)))
    assert found["otelcol_process_uptime_seconds_total",] == 2
    assert found["otelcol_process_memory_rss_bytes",] == 1e7
    assert found["otelcol_receiver_accepted_spans_total", 'a"b\\', "grpc"] == 5


@pytest.mark.parametrize(
    ("level", "sizes", "bytes"),
    [("basic", False, False), ("normal", True, False), ("detailed", True, True)],
)
def test_levels(level: str, sizes: bool, bytes: bool) -> None:
    names = {family.name for family in families(page(Style(), level))}
    assert ("otelcol_processor_batch_batch_send_size" in names) == sizes
    assert ("otelcol_processor_batch_batch_send_size_bytes" in names) == bytes
    assert "otelcol_receiver_accepted_spans" in names


@pytest.mark.parametrize(
    ("accept", "total", "open_metrics", "utf8"),
    [
        ("", False, False, False),
        ("*/*", False, False, False),
        ("text/plain;version=0.0.4", False, False, False),
        (PROMETHEUS, False, False, True),
        (PROMETHEUS, True, True, True),
        ("application/openmetrics-text", False, True, False),
        ("application/openmetrics-text, text/plain;q=0", False, True, False),
    ],
)
def test_negotiation(accept: str, total: bool, open_metrics: bool, utf8: bool) -> None:
    style = negotiate(accept, total=total, units=total)
    assert (style.open_metrics, style.utf8) == (open_metrics, utf8)
    assert style.content_type.endswith("allow-utf-8" if utf8 else "underscores")


@asynccontextmanager
async def own(*pages: MetricsPage, level: str = "normal") -> AsyncIterator[OwnTelemetry]:
    edge = Edge(asyncio.get_running_loop(), LOG)
    made = OwnTelemetry(Config(metrics=MetricsTelemetry(level, pages)), edge, LOG)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
        edge.close()


async def scrape(port: int, path: str = "/metrics", **headers: str) -> tuple[int, str, str]:
    """Return status, content type and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    kind = re.search("Content-Type: (.*)", head)
    return int(head.split()[1]), kind[1].strip() if kind else "", body


async def test_a_scrape() -> None:
    async with own(MetricsPage("127.0.0.1:0", "here")) as made:
        made.telemetry.counter("otelcol_receiver_accepted_spans", receiver="in").value = 4
        (port,) = made.pages.ports
        status, kind, body = await scrape(port, Accept=PROMETHEUS)
        assert (status, kind) == (
            200,
            "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8",
        )
        found = values(body)
        assert found["otelcol_receiver_accepted_spans_total", "in"] == 4
        assert found["otelcol_process_memory_rss",] > 1e6
        assert found["otelcol_process_cpu_seconds_total",] > 0
        assert found["otelcol_process_uptime_total",] > 0
        assert (await scrape(port, "/"))[0] == 404


async def test_a_page_that_was_written_must_open_the_default_need_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError) as caught:
            async with own(MetricsPage(address, "service.telemetry.metrics.address")):
                pass
        (problem,) = caught.value.problems
        assert problem.path == "service.telemetry.metrics.address"
        assert problem.message == f"{address} is in use by another program"
        assert problem.fix is not None
        async with own(MetricsPage(address, "", written=False)) as made:
            assert made.pages.ports == []
        assert f"{address} is in use by another program" in caplog.text


async def test_a_nonsense_address_is_a_problem() -> None:
    with pytest.raises(ConfigError, match="not host:port"):
        async with own(MetricsPage("nonsense", "here")):
            pass


async def test_everything_a_graph_counts_is_known() -> None:
    pipelines = {"traces": ("in", "a", "out link"), "traces/2": ("link", "b", "out")}
    async with World(pipelines, connectors="link") as world:
        await through(world.one("receivers.in").next[Signal.TRACES], "grpc").consume(traces(2))
        names = {reading.name for reading in world.graph.telemetry.readings()}
        assert len(names) > 15
        assert names <= set(KNOWN)
        signals = {name.rpartition("_")[2] for name in names if "receiver_accepted" in name}
        assert signals == {"spans"}, "counters of signals that nobody carries are not shown"


def test_every_name_in_the_source_is_known() -> None:
    pattern = re.compile(r'"((?:otelcol|heliograph)_[a-z_]+(?:\{(?:item)?\})?)"')
    named = {
        name.replace("{item}", "{}")
        for path in (ROOT / "src" / "heliograph").rglob("*.py")
        for name in pattern.findall(path.read_text())
    }
    assert "otelcol_receiver_accepted_{}" in named
    others = {name for name in named if name.startswith(("heliograph_span", "heliograph_otlp_"))}
    assert named - others <= set(KNOWN) | set(TEMPLATES)


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs" / "guide" / "telemetry.md").read_text()
    rows = set(re.findall(r"^\| `([a-z_{}]+)`", text, re.MULTILINE))
    expanded = {
        template.format(noun)
        for template in TEMPLATES
        for noun in ("spans", "metric_points", "log_records", "profile_samples")
    }
    assert rows == (set(KNOWN) - expanded) | set(TEMPLATES)
