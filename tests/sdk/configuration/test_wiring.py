"""Variables at work: programs as real processes, and what arrives or is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from exporters.backends import GrpcBackend, HttpBackend

PROGRAM = """
import logging
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment()
from opentelemetry import metrics, propagate, trace
metrics.get_meter("m").create_counter("count").add(1)
remote = {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
with trace.get_tracer("t").start_as_current_span("work", propagate.extract(remote)) as span:
    logging.getLogger("shop").warning("paid")
    headers = {}
    propagate.inject(headers)
    print("headers", *sorted(headers))
    print("span", format(span.get_span_context().span_id, "016x"))
"""
END = "\nmade.shutdown()\n"


def run(program: str, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [*command, sys.executable, "-W", "error", "-c", program],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def test_protocols_by_signal(http: HttpBackend, rpc: GrpcBackend) -> None:
    run(
        PROGRAM + END,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{http.port}",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/json",
        OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"http://127.0.0.1:{rpc.port}",
    )
    kinds = {one.path: one.headers["content-type"] for one in http.received}
    assert kinds == {"/v1/traces": "application/json", "/v1/logs": "application/x-protobuf"}
    (traces,) = [json.loads(one.body) for one in http.received if one.path == "/v1/traces"]
    (span,) = traces["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["name"], span["parentSpanId"]) == ("work", "2" * 16)
    assert {one.path.split(".")[3] for one in rpc.received} == {"metrics"}


@pytest.mark.parametrize("name", ["console", "otlp/stdout", "otlp_file", "none"])
def test_exporters_that_print(name: str) -> None:
    signals = ("TRACES", "METRICS", "LOGS")
    ended = run(PROGRAM + END, **{f"OTEL_{signal}_EXPORTER": name for signal in signals})
    text = ended.stdout[ended.stdout.index("span ") :].partition("\n")[2]
    if name == "none":
        assert text == ""
    elif name == "console":
        assert '"name": "work"' in text
        assert '"name": "count"' in text
        assert '"body": "paid"' in text
    else:
        lines = [json.loads(line) for line in text.splitlines()]
        keys = sorted(key for line in lines for key in line)
        assert keys == ["resourceLogs", "resourceMetrics", "resourceSpans"]


def test_prometheus_serves_a_page() -> None:
    program = f"""
import os, socket, urllib.request
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    os.environ["OTEL_EXPORTER_PROMETHEUS_PORT"] = port = str(one.getsockname()[1])
{PROGRAM}
print(urllib.request.urlopen(f"http://127.0.0.1:{{port}}/metrics").read().decode())
"""
    ended = run(
        program + END,
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
    )
    assert "count_total{" in ended.stdout


def test_propagators_and_disabled(http: HttpBackend) -> None:
    ended = run(
        PROGRAM + END,
        OTEL_SDK_DISABLED="true",
        OTEL_PROPAGATORS="tracecontext,b3,tracecontext",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{http.port}",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )
    assert "headers b3 traceparent\n" in ended.stdout
    assert "span 2222222222222222\n" in ended.stdout, "the remote span goes on as it came"
    assert http.received == []
    assert ended.stderr == "paid\n"


LAUNCHER = (str(Path(sys.executable).parent / "heliograph"), "run")


@pytest.mark.parametrize("command", [(), LAUNCHER], ids=["configured", "launched"])
def test_trace_ids_in_the_programs_own_log(command: tuple[str, ...]) -> None:
    program = PROGRAM + END
    if command:
        program = program.replace("made", "_").replace("_ = configure_from_environment()", "")
        program = "import logging; logging.info('first')\n" + program.replace("_.shutdown()", "")
    ended = run(
        program,
        *command,
        OTEL_PYTHON_LOG_CORRELATION="true",
        OTEL_SERVICE_NAME="till",
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    span = ended.stdout.split()[-1]
    *first, line = ended.stderr.splitlines()
    ids = f"[trace_id={'1' * 32} span_id={span} resource.service.name=till trace_sampled=True]"
    assert "WARNING [shop] [<string>:" in line
    assert line.endswith(f"{ids} - paid")
    if command:
        outside = "[trace_id=0 span_id=0 resource.service.name=till trace_sampled=False] - first"
        assert [one.endswith(outside) for one in first] == [True]


def test_the_sdks_own_log_has_a_level() -> None:
    program = """
import logging
from heliograph.sdk.configuration import configure_from_environment
made = configure_from_environment()
logging.getLogger("heliograph.sdk").debug("detail")
logging.getLogger("heliograph.sdk").warning("odd")
logging.getLogger("heliograph.sdk").error("lost")
made.shutdown()
"""
    off = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    found = {
        level: run(program, OTEL_TRACES_EXPORTER="console", OTEL_LOG_LEVEL=level, **off).stderr
        for level in ("", "error", "debug")
    }
    where = "traces to console (stdout)\n"
    assert found == {"": "odd\nlost\n", "error": "lost\n", "debug": f"{where}detail\nodd\nlost\n"}
