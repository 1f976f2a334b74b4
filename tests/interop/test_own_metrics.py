"""The Go collector's own metrics, and ours after the same traffic: names, labels, types, counts."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import harness
import pytest
from install import find
from prometheus_client.parser import text_string_to_metric_families

ABSENT = {
    "otelcol_process_runtime_total_alloc_bytes",  # nothing here allocates as a Go heap does
    "promhttp_metric_handler_errors",
}
"""What ours does not have, and why not."""

GO_ONLY = ("data_type", "server_address", "server_port", "service_instance_id")
"""Labels: our queues serve all signals, and an exporter has one id wherever it sends."""

MEASURED = (
    "otelcol_process_",
    "otelcol_processor_batch",
    "otelcol_exporter_queue_",
    "otelcol_exporter_in_flight",
    "target_info",
)
"""Whose values differ from run to run, or from collector to collector."""

Page = dict[tuple[str, frozenset[tuple[str, str]]], float]


def configuration(otlp: int, page: int, sink: int) -> dict[str, Any]:
    prometheus = {"host": "127.0.0.1", "port": page}
    processors = {
        "memory_limiter": {"check_interval": "1s", "limit_mib": 1000},
        "batch": {"timeout": "50ms"},
        "resource": {"attributes": [{"key": "a", "value": "b", "action": "upsert"}]},
    }
    exporters = {
        "otlp": {"endpoint": f"127.0.0.1:{sink}", "tls": {"insecure": True}},
        "nop": None,
        "debug": {"verbosity": "basic"},
    }
    pipelines = {
        signal: {
            "receivers": ["otlp"],
            "processors": ["memory_limiter", "resource", "batch"],
            "exporters": list(exporters),
        }
        for signal in ("traces", "metrics", "logs")
    }
    telemetry = {"metrics": {"readers": [{"pull": {"exporter": {"prometheus": prometheus}}}]}}
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{otlp}"}}}},
        "processors": processors,
        "exporters": exporters,
        "service": {"telemetry": telemetry, "pipelines": pipelines},
    }


REQUESTS = {
    "traces": {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a"}, {"name": "b"}]}]}]},
    "logs": {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {}, {}]}]}]},
    "metrics": {
        "resourceMetrics": [
            {"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [{}]}}]}]}
        ]
    },
}


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def samples(text: str) -> Page:
    """Return samples by name and labels, without those that Go alone gives."""
    return {
        (
            sample.name,
            frozenset(
                (name, value) for name, value in sample.labels.items() if name not in GO_ONLY
            ),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def types(text: str) -> dict[str, str]:
    return {family.name: family.type for family in text_string_to_metric_families(text)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The page of the Go collector, and ours."""
    folder = tmp_path_factory.mktemp("own_metrics")
    peer = find("otelcol")
    assert peer is not None
    found = []
    with harness.sink(folder / "sink.log") as sink:
        for name, command in (
            ("go", [peer / "otelcol"]),
            ("heliograph", [harness.ROOT / ".venv" / "bin" / "heliograph", "collector"]),
        ):
            otlp, page = harness.free_port(), harness.free_port()
            config = folder / f"{name}.yaml"
            config.write_text(json.dumps(configuration(otlp, page, sink.grpc)))
            words = [*command, "--config", config]
            with harness.running(words, folder / f"{name}.log") as process:
                process.ready(otlp)
                process.ready(page)
                for signal, request in REQUESTS.items():
                    body = json.dumps(request).encode()
                    headers = {"Content-Type": "application/json"}
                    url = f"http://127.0.0.1:{otlp}/v1/{signal}"
                    asked = urllib.request.Request(url, body, headers)
                    with urllib.request.urlopen(asked, timeout=10) as answer:
                        assert answer.status == 200
                found.append(settled(page))
    return found[0], found[1]


def settled(page: int) -> str:
    """Return the page when everything has been sent: the Go collector answers before."""
    end = time.monotonic() + 20
    while True:
        text = fetch(page)
        sent = {
            dict(labels).get("exporter"): value
            for (name, labels), value in samples(text).items()
            if name == "otelcol_exporter_sent_log_records_total"
        }
        if sent.get("otlp") == 3 and sent.get("debug") == 3:
            return text
        assert time.monotonic() < end, text
        time.sleep(0.05)


@pytest.mark.peers("otelcol")
def test_every_metric_is_here_with_its_labels_and_type(pages: tuple[str, str]) -> None:
    go, ours = pages
    wanted = {name: kind for name, kind in types(go).items() if name not in ABSENT}
    assert {name: types(ours).get(name) for name in wanted} == wanted
    assert len(wanted) > 20
    missing = {
        (name, tuple(sorted(label for label, _ in labels)))
        for name, labels in set(samples(go)) - set(samples(ours))
        if name.removesuffix("_total") not in ABSENT
    }
    assert missing == {
        ("target_info", ("service_name", "service_version")),  # it is another program
        ("otelcol_exporter_in_flight_requests", ("exporter",)),  # debug: nothing is ever in flight
    }


@pytest.mark.peers("otelcol")
def test_the_counts_are_the_same(pages: tuple[str, str]) -> None:
    go, ours = (samples(page) for page in pages)
    compared = {
        key: value
        for key, value in go.items()
        if not key[0].startswith(MEASURED) and key[0].removesuffix("_total") not in ABSENT
    }
    assert {key: ours.get(key) for key in compared} == compared
    assert len(compared) > 20
