"""The programs that servers and pools run, and what arrives of them."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporters.backends import GrpcBackend, Received
from instrument.conftest import listens
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from sdk.programs import spans

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
PATIENCE = 60.0
"""Seconds that a slow machine may take for what is done in one."""

PROVIDERS = """
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

to = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter(to)))
_logs.set_logger_provider(LoggerProvider())
_logs.get_logger_provider().add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(to)))
reader = PeriodicExportingMetricReader(OTLPMetricExporter(to))
metrics.set_meter_provider(MeterProvider([reader]))
flush_on_sigterm()
"""
"""What a program does that knows of Heliograph; another is started by `heliograph run`."""

WORK = """
from opentelemetry import _logs, metrics, trace
tracer = trace.get_tracer("program")
logger = _logs.get_logger("program")
counter = metrics.get_meter("program").create_counter("calls")

def work(name):
    with tracer.start_as_current_span(name):
        counter.add(1)
        logger.emit(body=name)
"""

SERVED = """
def wsgi(environ, start_response):
    work(environ["PATH_INFO"])
    start_response("200 OK", [("content-length", "2")])
    return [b"ok"]

application = wsgi

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    work(scope["path"])
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
"""

LAUNCHER = (Path(sys.executable).parent / "heliograph", "run")


def environment() -> Path:
    """Return the folder of commands of the environment with the servers; make it when missing."""
    wanted = HERE / "requirements.txt"
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    root = Path.home() / ".cache" / f"heliograph-life-{digest}"
    if not (root / "ready").exists():
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, root], check=True)
        into = ("--python", root / "bin" / "python")
        subprocess.run([uv, "pip", "install", "-q", *into, "-r", wanted], check=True)
        (root / "ready").touch()
    return root / "bin"


@contextmanager
def started(
    folder: Path, backend: GrpcBackend, *command: str | Path, program: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside ``program.py``; end its group whatever happens."""
    (folder / "program.py").write_text(program)
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables(folder, backend),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def variables(folder: Path, backend: GrpcBackend) -> dict[str, str]:
    """Return the environment of a program whose telemetry goes to the backend."""
    return {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{backend.port}",
        "PYTHONPATH": f"{SOURCE}:{folder}",
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def get(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    """Ask for a page once, as soon as the server is there."""
    wait(process, lambda: listens(port))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        assert answer.read() == b"ok"


def wait(process: subprocess.Popen[bytes], until: Callable[[], bool]) -> None:
    """Wait for something that a process brings about."""
    end = time.monotonic() + PATIENCE
    while not until():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def said(folder: Path) -> str:
    """Return what was put out; fail where something in it is our trouble."""
    output = (folder / "output").read_text()
    assert not any(sign in output for sign in ("heliograph:", "could not be", "Traceback")), output
    return output


def counts(received: list[Received], wanted: list[str]) -> tuple[list[str], list[str], int]:
    """Return the names of spans, the bodies of wanted log records, and the calls counted."""
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
    logs = sorted(body for body in logs if body in wanted)
    return sorted(span.name for span in spans(traces)), logs, sum(calls.values())
