"""Every variable of the specification is read or listed with a reason; no value raises."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sdk.test_alias import bare, isolated  # noqa: F401 - fixtures

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "guide" / "sdk-variables.md"


def specified() -> set[str]:
    lines = (HERE / "specification_variables.txt").read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


def spread(name: str) -> list[str]:
    """Return the names that a name with alternatives in braces stands for."""
    parts = [part.split(",") for part in re.split(r"[{}]", name)]
    return ["".join(chosen) for chosen in itertools.product(*parts)]


def listed() -> dict[str, str]:
    """Return what the page says of each variable."""
    found = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            name, _, meaning, _ = cells
            found |= dict.fromkeys(spread(name.strip("`")), meaning)
    return found


RECORDING = """
import json, os, sys

class Recording(dict):
    seen = set()
    def __getitem__(self, name):
        self.seen.add(name)
        return super().__getitem__(name)
    def get(self, name, default=None):
        self.seen.add(name)
        return super().get(name, default)

os.environ = Recording(os.environ)
from heliograph.sdk import configuration
for variables in json.loads(sys.argv[1]):
    os.environ.update(variables)
    made = configuration.configure_from_environment()
    made.shutdown()
print(json.dumps(sorted(Recording.seen)))
"""


def test_what_the_specification_names_is_read_or_has_a_reason() -> None:
    cases = [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:1", "OTEL_PYTHON_LOG_CORRELATION": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://localhost:1"},
        {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"},
    ]
    ended = subprocess.run(
        [sys.executable, "-c", RECORDING, json.dumps(cases)],
        env={"OTEL_LOG_LEVEL": "none"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    read = {name for name in json.loads(ended.stdout) if name.startswith("OTEL_")}
    said = listed()
    assert read - set(said) == set(), "read, but not on the page"
    assert specified() - set(said) == set(), "in the specification, but not on the page"
    assert {name for name, meaning in said.items() if "not read:" in meaning} == set(said) - read


def bad(names: str, value: str, used: str) -> dict[str, tuple[str, str]]:
    return dict.fromkeys(spread(names), (value, used))


ENUMS = {
    **bad("OTEL_EXPORTER_OTLP_{TRACES_,METRICS_,LOGS_}PROTOCOL", "quic", "grpc"),
    **bad("OTEL_EXPORTER_OTLP_{TRACES_,METRICS_,LOGS_}COMPRESSION", "lz4", "none"),
    **bad("OTEL_EXPORTER_OTLP_{TRACES_,METRICS_,LOGS_}TIMEOUT", "soon", "10"),
    **bad("OTEL_EXPORTER_OTLP_{TRACES_,METRICS_,LOGS_}INSECURE", "1", "false"),
    **bad("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "both", "cumulative"),
    **bad(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "none",
        "explicit_bucket_histogram",
    ),
    **bad("OTEL_METRICS_EXEMPLAR_FILTER", "some", "trace_based"),
    **bad("OTEL_TRACES_SAMPLER", "dice", "parentbased_always_on"),
    **bad("OTEL_LOG_LEVEL", "loud", "warn"),
    **bad("OTEL_SDK_DISABLED", "yes", "false"),
    **bad("OTEL_PYTHON_LOG_CORRELATION", "on", "false"),
}
NUMBERS = {
    **bad("OTEL_{BSP,BLRP}_SCHEDULE_DELAY", "1.5", ""),
    **bad("OTEL_{BSP,BLRP}_EXPORT_TIMEOUT", "-1", "30000"),
    **bad("OTEL_{BSP,BLRP}_MAX_QUEUE_SIZE", "0", "no limit"),
    **bad("OTEL_{BSP,BLRP}_MAX_EXPORT_BATCH_SIZE", "512spans", "512"),
    **bad("OTEL_METRIC_EXPORT_INTERVAL", "1m", "60000"),
    **bad("OTEL_METRIC_EXPORT_TIMEOUT", "-5", "30000"),
    **bad("OTEL_ATTRIBUTE_COUNT_LIMIT", "many", "no limit"),
    **bad("OTEL_{SPAN,EVENT,LINK,LOGRECORD}_ATTRIBUTE_COUNT_LIMIT", "-1", "128"),
    **bad("OTEL_SPAN_{EVENT,LINK}_COUNT_LIMIT", "1e3", "128"),
    **bad(
        "OTEL_{ATTRIBUTE,SPAN_ATTRIBUTE,LOGRECORD_ATTRIBUTE}_VALUE_LENGTH_LIMIT", "x", "no limit"
    ),
    **bad("OTEL_EXPORTER_OTLP_{TIMEOUT,COMPRESSION,PROTOCOL}", "-1", ""),
    **bad("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "none of it"),
    "OTEL_ENTITIES": ("host{", "the rest"),
    "OTEL_TRACES_SAMPLER_ARG": ("2", "none"),
}

CONFIGURE = """
from heliograph.sdk.configuration import configure_from_environment
from opentelemetry import trace
configure_from_environment()
with trace.get_tracer("t").start_as_current_span("s") as span:
    assert span.is_recording()
import os; os._exit(0)
"""


@pytest.mark.parametrize("wrong", [ENUMS, NUMBERS], ids=["names", "numbers"])
def test_a_bad_value_is_one_line_and_the_default(
    wrong: dict[str, tuple[str, str]],
    bare: str,  # noqa: F811
) -> None:
    values = {name: value for name, (value, _) in wrong.items()}
    more = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:1"}
    ended = isolated(CONFIGURE, bare, **(more | values))
    assert ended.returncode == 0, ended.stderr
    lines = ended.stderr.splitlines()
    for name, (value, used) in wrong.items():
        said = [line for line in lines if line.startswith(f"{name} is {value!r}, ")]
        assert len(said) == 1, f"{name}: {ended.stderr}"
        assert f"; using {used}" in said[0]
    assert len(lines) == len(wrong), ended.stderr


def test_a_batch_larger_than_its_queue_is_said(bare: str) -> None:  # noqa: F811
    sizes = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "200"}
    ended = isolated(CONFIGURE, bare, **sizes)
    assert (ended.returncode, ended.stderr) == (
        0,
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is '200', above OTEL_BSP_MAX_QUEUE_SIZE (100); using 100\n",
    )
