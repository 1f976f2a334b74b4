"""Declarative files: what they make, and what is said of wrong ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.sdk.configuration import ConfigurationError, configure_from_file

KITCHEN_SINK = """
file_format: "1.0"
disabled: false
log_level: info
attribute_limits: {attribute_count_limit: 64}
resource:
  attributes:
    - {name: service.name, value: "${SERVICE:-shop}"}
    - {name: price, value: "$${x}"}
    - {name: doubles, value: [1, 2.5], type: double_array}
    - {name: flag, value: "${FLAG}"}
    - {name: count, value: 3, type: int}
  attributes_list: service.version=1.0,service.name=other
  schema_url: https://opentelemetry.io/schemas/1.16.0
  detection/development:
    attributes: {included: [process.*], excluded: [process.pid]}
    detectors: [{host: }, {process: }, {service: }]
propagator:
  composite: [{tracecontext: }, {b3: }]
  composite_list: baggage
tracer_provider:
  processors:
    - batch:
        schedule_delay: 100
        max_queue_size: 100
        exporter:
          otlp_http:
            endpoint: http://localhost:1/v1/traces
            headers: [{name: api-key, value: "1"}]
            headers_list: a=b
            compression: gzip
            timeout: 1000
            encoding: json
    - simple: {exporter: {console: }}
  limits: {event_count_limit: 7, attribute_count_limit: 9}
  sampler:
    parent_based:
      root:
        composite/development:
          rule_based:
            rules:
              - attribute_values: {key: http.route, values: [/healthz]}
                span_kinds: [server]
                parent: [none]
                sampler: {always_off: }
              - sampler: {parent_threshold: {root: {probability: {ratio: 0.5}}}}
      local_parent_sampled: {always_record: {root: {trace_id_ratio_based: {ratio: 0.1}}}}
  id_generator: {random: }
  tracer_configurator/development:
    default_config: {enabled: true}
    tracers: [{name: noisy.*, config: {enabled: false}}]
meter_provider:
  exemplar_filter: always_off
  readers:
    - periodic:
        interval: 5000
        timeout: 1000
        cardinality_limits: {default: 10, counter: 20}
        exporter:
          otlp_grpc:
            endpoint: http://localhost:2
            temporality_preference: delta
            default_histogram_aggregation: base2_exponential_bucket_histogram
  views:
    - selector: {instrument_name: mine, instrument_type: histogram, unit: ms}
      stream:
        name: new
        attribute_keys: {included: [a, b], excluded: [b]}
        aggregation: {explicit_bucket_histogram: {boundaries: [1, 2.5], record_min_max: false}}
logger_provider:
  processors: [{batch: {exporter: {otlp_file/development: {output_stream: "file://FILE"}}}}]
  limits: {attribute_value_length_limit: 5}
"""


def test_everything_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sdk.yaml"
    path.write_text(KITCHEN_SINK.replace("FILE", str(tmp_path / "logs.jsonl")))
    program = """
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment()
about = made.tracer_provider.resource
print(*made.destinations, sep="\\n")
for key in ("service.name", "service.version", "price", "doubles", "flag", "count"):
    print(key, repr(about.attributes.get(key)))
print(about.schema_url, sorted(key for key in about.attributes if "host" in key or "pid" in key))
limits = made.tracer_provider._span_limits
print(limits.max_span_attributes, limits.max_events, limits.max_attributes)
print(made.tracer_provider.get_tracer("noisy.one")._is_enabled())
print(made.logger_provider._log_record_limits.max_log_record_attribute_length)
(reader,) = made.meter_provider._streams
print(reader._interval, reader._timeout_millis)
(view,) = made.meter_provider._views
print(sorted(view._attribute_keys), view._aggregation._boundaries)
from opentelemetry import propagate
print(sorted(propagate.get_global_textmap().fields))
import os, sys; sys.stdout.flush(); os._exit(0)
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"OTEL_CONFIG_FILE": str(path), "FLAG": "true", "OTEL_SERVICE_NAME": "ignored"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "traces to otlp_http (http://localhost:1/v1/traces)",
        "traces to console (stdout)",
        "metrics to otlp_grpc (localhost:2)",
        f"logs to otlp_file/development ({tmp_path}/logs.jsonl)",
        "service.name 'shop'",
        "service.version '1.0'",
        "price '${x}'",
        "doubles (1.0, 2.5)",
        "flag 'true'",
        "count 3",
        "https://opentelemetry.io/schemas/1.16.0 ['process.parent_pid']",
        "9 7 64",
        "False",
        "5",
        "5.0 1000",
        "['a'] [1, 2.5]",
        "['b3', 'baggage', 'traceparent', 'tracestate']",
    ]


WRONG = """\
file_format: "0.3"
tracer_provdier: {}
tracer_provider:
  processors:
    - batch:
        schedule_dely: 5
        max_queue_size: "many"
        exporter: {otlp_htp: }
  sampler: {trace_id_ratio_based: {ratio: 2}}
resource:
  attributes:
    - {name: a, value: "${1x}"}
    - {name: b, value: true, type: int}
"""

SAID = """\
F:1:14: file_format: is '0.3', not 1.0
    fix: write "1.0"
F:2:1: tracer_provdier: is not an option here
    fix: did you mean 'tracer_provider'?
F:6:9: tracer_provider.processors[0].batch.schedule_dely: is not an option here
    fix: did you mean 'schedule_delay'?
F:7:25: tracer_provider.processors[0].batch.max_queue_size: is 'many', not a whole number
F:8:29: tracer_provider.processors[0].batch.exporter.otlp_htp: there is no 'otlp_htp'; there are
    fix: did you mean 'otlp_http'?
F:9:43: tracer_provider.sampler.trace_id_ratio_based.ratio: is 2.0, not at least 0 and at most 1
F:12:24: resource.attributes[0].value: ${1x} is no reference
    fix: write ${NAME} or ${NAME:-default}
F:13:24: resource.attributes[1].value: is True, not int
    fix: change value or type
"""


def test_all_problems_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sdk.yaml"
    path.write_text(WRONG)
    with pytest.raises(ConfigurationError) as raised:
        configure_from_file(str(path))
    lines = str(raised.value).replace(str(path), "F").splitlines()
    expected = SAID.splitlines()
    assert len(lines) == len(expected), "\n".join(lines)
    for line, wanted in zip(lines, expected, strict=True):
        assert line.startswith(wanted)
