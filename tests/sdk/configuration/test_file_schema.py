"""Declarative files as the schema has them, and programs that are configured by one."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from exporters.backends import HttpBackend

from heliograph.sdk.configuration._file import Plan
from heliograph.sdk.configuration._instrumentation import variables_of
from heliograph.sdk.configuration._yaml import read

HERE = Path(__file__).parent

PRODUCERS = """
from opentelemetry.metrics import get_meter_provider
from heliograph.sdk.metrics.export import (
    InMemoryMetricReader, MetricProducer, Metric, ScopeMetrics, Gauge, NumberDataPoint
)
from heliograph.sdk.util.instrumentation import InstrumentationScope

class Disks(MetricProducer):
    def __init__(self, name="disks"):
        self.name = name

    def produce(self, metric_filter=None, timeout_millis=10_000):
        point = NumberDataPoint({}, 0, 1, 7)
        metric = Metric(self.name, "", "", Gauge([point]))
        return [ScopeMetrics(InstrumentationScope("s"), [metric], "")]
"""


def with_producers(folder: Path, *names: str) -> None:
    """Make a package whose metric producers have these names."""
    (folder / "producers.py").write_text(PRODUCERS)
    info = folder / "producers-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: producers\nVersion: 1\n")
    points = "".join(f"{name} = producers:Disks\n" for name in names)
    (info / "entry_points.txt").write_text(f"[opentelemetry_metric_producer]\n{points}")


def properties() -> list[str]:
    lines = (HERE / "schema_properties.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def document(path: str) -> Any:
    """Return a document in which nothing but this property stands, and it is null."""
    made: Any = None
    for part in reversed(path.split(".")):
        name = part.removesuffix("[]")
        made = {name: [made] if part != name else made}
    return made


def test_every_property_of_the_schema_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No package of ours makes metrics of OpenCensus; one that does is found by that name.
    with_producers(tmp_path, "opencensus")
    monkeypatch.syspath_prepend(tmp_path)
    unknown = []
    path = tmp_path / "sdk.yaml"
    for one in properties():
        path.write_text(json.dumps(document(one)))
        item, source = read(str(path))
        Plan(item.map())
        said = [text for _, _, text in source._problems]
        if any("not an option here" in text or "there is no" in text for text in said):
            unknown.append(one)
    assert not unknown


def test_producers_and_patterns_of_keys(tmp_path: Path) -> None:
    with_producers(tmp_path, "disks", "opencensus")
    path, out = tmp_path / "sdk.yaml", tmp_path / "metrics.jsonl"
    path.write_text(f"""
file_format: "1.1"
meter_provider:
  readers:
    - periodic:
        producers: [{{disks: }}, {{opencensus: {{name: old}}}}]
        exporter: {{otlp_file/development: {{output_stream: "file://{out}"}}}}
  views:
    - selector: {{instrument_name: calls}}
      stream: {{attribute_keys: {{included: [http.*, 'ur?', "[a]"], excluded: ["*.id"]}}}}
    - selector: {{instrument_name: others}}
      stream: {{attribute_keys: {{excluded: [http.*]}}}}
""")
    program = """
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment()
meter = made.meter_provider.get_meter("t")
keys = ["http.route", "http.id", "uri", "url.id", "ur", "[a]", "a", "user.id"]
for name in ("calls", "others"):
    meter.create_counter(name).add(1, dict.fromkeys(keys, 1))
made.meter_provider.shutdown()
"""
    ended = run(path, program, PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    found = {
        metric["name"]: [
            pair["key"]
            for point in (metric.get("sum") or metric["gauge"])["dataPoints"]
            for pair in point.get("attributes", [])
        ]
        for scope in json.loads(out.read_text())["resourceMetrics"][0]["scopeMetrics"]
        for metric in scope["metrics"]
    }
    assert sorted(found) == ["calls", "disks", "old", "others"]
    assert found["calls"] == ["http.route", "uri", "[a]"]
    assert found["others"] == ["uri", "url.id", "ur", "[a]", "a", "user.id"]


def test_a_producer_that_is_not_installed(tmp_path: Path) -> None:
    path = tmp_path / "sdk.yaml"
    path.write_text(
        json.dumps(document("meter_provider.readers[].periodic.producers[].opencensus"))
    )
    item, source = read(str(path))
    Plan(item.map())
    said = [text for _, _, text in source._problems]
    assert any("there is no 'opencensus'" in text for text in said)


USUAL = """
file_format: "1.1"
disabled: ${OTEL_SDK_DISABLED:-false}
log_level: warn
attribute_limits: {attribute_value_length_limit: , attribute_value_depth_limit: 64}
resource:
  attributes: [{name: service.name, value: "${OTEL_SERVICE_NAME:-unknown_service}"}]
  attributes_list: ${OTEL_RESOURCE_ATTRIBUTES}
propagator:
  composite_list: ${OTEL_PROPAGATORS:-tracecontext,baggage}
tracer_provider:
  processors:
    - batch:
        schedule_delay: ${OTEL_BSP_SCHEDULE_DELAY:-5000}
        export_timeout: ${OTEL_BSP_EXPORT_TIMEOUT:-0}
        max_queue_size: ${OTEL_BSP_MAX_QUEUE_SIZE:-2048}
        max_export_batch_size: ${OTEL_BSP_MAX_EXPORT_BATCH_SIZE:-512}
        exporter:
          otlp_http:
            endpoint: ${HERE}/v1/traces
            tls: {ca_file: "${NO_CERTIFICATE}", key_file: , cert_file: }
            compression: ${NO_COMPRESSION:-gzip}
            timeout: ${NO_TIMEOUT:-10000}
            headers_list: ${NO_HEADERS}
            encoding: json
            max_request_size: 0
            max_response_size: 4194304
  limits: {attribute_value_length_limit: "", attribute_count_limit: 128, event_count_limit: 128}
  sampler: {parent_based: {root: {always_on: }, remote_parent_not_sampled: {always_off: }}}
meter_provider:
  readers:
    - periodic:
        interval: ${OTEL_METRIC_EXPORT_INTERVAL:-60000}
        timeout: 0
        max_export_batch_size/development: 10
        exporter:
          otlp_file/development:
            output_stream: ${METRICS_FILE}
            temporality_preference: delta
            default_histogram_aggregation: base2_exponential_bucket_histogram
    - periodic: {exporter: {console: {temporality_preference: low_memory}}}
  exemplar_filter: ${OTEL_METRICS_EXEMPLAR_FILTER:-trace_based}
  meter_configurator/development:
    meters: [{name: noisy*, config: {enabled: false}}]
logger_provider:
  processors:
    - event_to_span_event_bridge/development:
    - simple: {exporter: {otlp_http: {endpoint: "${HERE}/v1/logs", encoding: json}}}
  logger_configurator/development:
    loggers: [{name: shop, config: {minimum_severity: warn, trace_based: true}}]
instrumentation/development: {general: {stability_opt_in_list: "http,database"}}
""".replace('attribute_value_length_limit: ""', "attribute_value_length_limit: ")

PROGRAM = """
import logging, os, sys
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment()
from opentelemetry import metrics, trace
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
metrics.get_meter("noisy.one").create_counter("loud").add(1)
metrics.get_meter("m").create_counter("count").add(1)
with trace.get_tracer("t").start_as_current_span("work"):
    logging.getLogger("shop").warning("paid", extra={"otel.event.name": "shop.paid"})
    logging.getLogger("shop").info("too small")
quiet = trace.NonRecordingSpan(trace.SpanContext(1, 2, False))
with trace.use_span(quiet):
    logging.getLogger("shop").error("unsampled")
    logging.getLogger("other").info("goes")
made.shutdown()
print(os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"])
"""


def run(path: Path, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"OTEL_CONFIG_FILE": str(path), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_program_configured_by_a_file_alone(http: HttpBackend, tmp_path: Path) -> None:
    path, metrics = tmp_path / "sdk.yaml", tmp_path / "metrics.jsonl"
    path.write_text(USUAL)
    ended = run(
        path,
        PROGRAM,
        HERE=f"http://127.0.0.1:{http.port}",
        METRICS_FILE=f"file://{metrics}",
        OTEL_SERVICE_NAME="till",
        OTEL_RESOURCE_ATTRIBUTES="a=b%20c",
        # Nothing refers to these, so they do not count.
        OTEL_TRACES_SAMPLER="always_off",
        OTEL_EXPORTER_OTLP_HEADERS="secret=1",
        OTEL_EXPORTER_OTLP_COMPRESSION="lz4",
        OTEL_SPAN_EVENT_COUNT_LIMIT="0",
        OTEL_LOGS_EXPORTER="console",
        OTEL_METRICS_EXEMPLAR_FILTER="always_off",
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    assert ended.stdout.endswith("http,database\n")
    (traces,) = [one for one in http.received if one.path == "/v1/traces"]
    assert (traces.headers.get("secret"), traces.headers["content-encoding"]) == (None, "gzip")
    scope = json.loads(gzip.decompress(traces.body))["resourceSpans"][0]["scopeSpans"][0]
    assert [event["name"] for event in scope["spans"][0]["events"]] == ["shop.paid"]
    logs = [json.loads(one.body) for one in http.received if one.path == "/v1/logs"]
    records = [log["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0] for log in logs]
    assert [record["body"]["stringValue"] for record in records] == ["paid", "goes"]
    attributes = {
        one["key"]: one["value"] for one in logs[0]["resourceLogs"][0]["resource"]["attributes"]
    }
    assert attributes["service.name"] == {"stringValue": "till"}
    assert attributes["a"] == {"stringValue": "b c"}
    (sums,) = [json.loads(line) for line in metrics.read_text().splitlines()]
    (scope,) = sums["resourceMetrics"][0]["scopeMetrics"]
    assert scope["metrics"][0]["sum"]["aggregationTemporality"] in (1, "1")
    assert "exemplars" not in scope["metrics"][0]["sum"]["dataPoints"][0]


def test_disabled_by_a_file_records_nothing_and_propagates(tmp_path: Path) -> None:
    path = tmp_path / "sdk.yaml"
    text = 'file_format: "1.0"\ndisabled: true\npropagator: {composite: [{b3multi: }]}\n'
    path.write_text(text + "tracer_provider: {processors: [{simple: {exporter: {console: }}}]}\n")
    program = """
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment()
from opentelemetry import propagate, trace
print(made.is_disabled, made.tracer_provider, sorted(propagate.get_global_textmap().fields))
trace.get_tracer("t").start_span("none").end()
"""
    ended = run(path, program)
    fields = "['x-b3-sampled', 'x-b3-spanid', 'x-b3-traceid']"
    assert (ended.stdout, ended.stderr) == (f"True None {fields}\n", "")


def test_instrumentations_get_their_variables(tmp_path: Path) -> None:
    path = tmp_path / "sdk.yaml"
    path.write_text("""
file_format: "1.0"
instrumentation/development:
  general:
    http:
      semconv: {version: 1, dual_emit: true}
      client: {request_captured_headers: [Accept, X-Id], known_methods: [GET]}
      server: {response_captured_headers: [Content-Type], known_methods: [GET, QUERY]}
    db: {semconv: {version: 1}}
  python: {example: {property: value}}
""")
    item, source = read(str(path))
    Plan(item.map())
    source.check()
    instrumentation = item.map().get("instrumentation/development")
    assert variables_of(instrumentation) == {
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http/dup,database",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "Accept,X-Id",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "Content-Type",
        "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "GET,QUERY",
    }


PACKAGE = """
from heliograph.sdk.trace.export import SpanExporter, SpanExportResult
class Prints(SpanExporter):
    def __init__(self, greeting):
        self.greeting = greeting
    def export(self, spans):
        print(self.greeting, *(span.name for span in spans))
        return SpanExportResult.SUCCESS
"""


@pytest.mark.parametrize(
    ("options", "out", "said"),
    [
        ("{greeting: hello}", "hello work\n", ""),
        ("{greting: hello}", "", r"sdk.yaml:3:\d+: tracer_provider.processors\[0\].simple.exporter"
         r".prints: cannot be made: TypeError: .*greting"),
    ],
)  # fmt: skip
def test_a_plugin_is_made_from_its_options(
    options: str, out: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "prints.py").write_text(PACKAGE)
    info = tmp_path / "prints-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: prints\nVersion: 1\n")
    points = "[opentelemetry_traces_exporter]\nprints = prints:Prints\n"
    (info / "entry_points.txt").write_text(points)
    path = tmp_path / "sdk.yaml"
    text = 'file_format: "1.0"\ntracer_provider:\n  processors: [{simple: {exporter: {prints: '
    path.write_text(f"{text}{options}}}}}}}]\n")
    program = """
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment()
made.tracer_provider.get_tracer("t").start_span("work").end()
"""
    ended = run(path, program, PYTHONPATH=str(tmp_path))
    assert ended.stdout == out
    assert re.search(said, ended.stderr), ended.stderr


def test_a_wrong_file_does_not_stop_a_program_that_is_launched(tmp_path: Path) -> None:
    path = tmp_path / "sdk.yaml"
    path.write_text("tracer_provider: {processors: []}\n")
    ended = subprocess.run(
        [
            str(Path(sys.executable).parent / "heliograph"),
            *("run", sys.executable, "-c", "from opentelemetry import trace; print('runs')"),
        ],
        env={"OTEL_CONFIG_FILE": str(path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.stdout == "runs\n"
    assert ended.stderr.splitlines() == [
        f"heliograph: nothing is recorded: {path}:1:1: the file: has no file_format",
        "    fix: add file_format",
        f"{path}:1:31: tracer_provider.processors: is an empty list",
        "    fix: leave processors out, or add an element",
    ]
