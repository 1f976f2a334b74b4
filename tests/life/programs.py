"""The program that every server runs, and what arrives of it."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporters.backends import GrpcBackend, Received
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from sdk.programs import spans

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
PATIENCE = 30.0

PROGRAM = """
import os
from opentelemetry import _logs, metrics, trace
from heliograph.sdk import flush_on_sigterm
from heliograph.sdk.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from heliograph.sdk.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from heliograph.sdk.logs import LoggerProvider
from heliograph.sdk.logs.export import BatchLogRecordProcessor
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import PeriodicExportingMetricReader
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor

to = os.environ["ENDPOINT"]
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter(to)))
_logs.set_logger_provider(LoggerProvider())
_logs.get_logger_provider().add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(to)))
reader = PeriodicExportingMetricReader(OTLPMetricExporter(to))
metrics.set_meter_provider(MeterProvider([reader]))
tracer = trace.get_tracer("program")
logger = _logs.get_logger("program")
counter = metrics.get_meter("program").create_counter("calls")

flush_on_sigterm()

def work(name):
    with tracer.start_as_current_span(name):
        counter.add(1)
        logger.emit(body=name)

def wsgi(environ, start_response):
    work(environ["PATH_INFO"])
    start_response("200 OK", [("content-length", "2")])
    return [b"ok"]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    work(scope["path"])
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def environment() -> Path:
    """Return the folder of commands of the environment with the servers; make it when missing."""
    wanted = HERE / "requirements.txt"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    root = Path.home() / ".cache" / f"heliograph-life-{digest}"
    if not (root / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
        pip = [root / "bin" / "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", wanted], check=True)
        (root / "ready").touch()
    return root / "bin"


@contextmanager
def started(
    folder: Path, backend: GrpcBackend, *command: str, bin: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of the environment beside the program; end its group whatever happens."""
    (folder / "program.py").write_text(PROGRAM)
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [bin / command[0], *command[1:]],
            cwd=folder,
            env={
                **os.environ,
                "ENDPOINT": f"http://127.0.0.1:{backend.port}",
                "PYTHONPATH": f"{SOURCE}:{folder}",
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def get(port: int, path: str) -> None:
    """Ask for a page, from when the server is there."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                assert answer.read() == b"ok"
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def counts(received: list[Received]) -> tuple[list[str], list[str], int]:
    """Return the names of spans, the bodies of log records, and the calls counted."""
    logs: list[str] = []
    calls: dict[str, int] = {}
    traces = [one for one in received if "TraceService" in one.path]
    for one in received:
        if "LogsService" in one.path:
            for of in ExportLogsServiceRequest.FromString(one.body).resource_logs:
                logs += [r.body.string_value for s in of.scope_logs for r in s.log_records]
        elif "MetricsService" in one.path:
            for of in ExportMetricsServiceRequest.FromString(one.body).resource_metrics:
                who = next(
                    pair.value.string_value
                    for pair in of.resource.attributes
                    if pair.key == "service.instance.id"
                )
                for metric in (m for s in of.scope_metrics for m in s.metrics if m.name == "calls"):
                    calls[who] = max(metric.sum.data_points[0].as_int, calls.get(who, 0))
    return sorted(span.name for span in spans(traces)), sorted(logs), sum(calls.values())
