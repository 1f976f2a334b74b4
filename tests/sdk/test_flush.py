"""``force_flush(t)`` returns within t, and tells whether all arrived."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from exporters.backends import Answer, GrpcBackend, HttpBackend

from heliograph.sdk.exporter.otlp.json.file._log_exporter import FileLogExporter
from heliograph.sdk.exporter.otlp.json.file.metric_exporter import FileMetricExporter
from heliograph.sdk.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from heliograph.sdk.exporter.otlp.json.http import _log_exporter as json_logs
from heliograph.sdk.exporter.otlp.json.http import metric_exporter as json_metrics
from heliograph.sdk.exporter.otlp.json.http import trace_exporter as json_traces
from heliograph.sdk.exporter.otlp.proto.grpc import _log_exporter as grpc_logs
from heliograph.sdk.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics
from heliograph.sdk.exporter.otlp.proto.grpc import trace_exporter as grpc_traces
from heliograph.sdk.exporter.otlp.proto.http import _log_exporter as http_logs
from heliograph.sdk.exporter.otlp.proto.http import metric_exporter as http_metrics
from heliograph.sdk.exporter.otlp.proto.http import trace_exporter as http_traces
from heliograph.sdk.exporter.prometheus import PrometheusMetricReader
from heliograph.sdk.logs import LoggerProvider
from heliograph.sdk.logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
)
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

SIGNALS = ["traces", "metrics", "logs"]
PROTOCOLS = ["grpc", "http", "json"]

FLUSH = 400
"""Milliseconds of a flush that is to fail."""

PATIENT = 120.0
"""Seconds that an export may try: who waits for it is told from who does not."""

LONG = 30.0
"""Seconds that a slow machine may take for `FLUSH`."""

DISK = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")

EXPORTERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("traces", "grpc"): grpc_traces.OTLPSpanExporter,
    ("metrics", "grpc"): grpc_metrics.OTLPMetricExporter,
    ("logs", "grpc"): grpc_logs.OTLPLogExporter,
    ("traces", "http"): http_traces.OTLPSpanExporter,
    ("metrics", "http"): http_metrics.OTLPMetricExporter,
    ("logs", "http"): http_logs.OTLPLogExporter,
    ("traces", "json"): json_traces.OTLPSpanExporter,
    ("metrics", "json"): json_metrics.OTLPMetricExporter,
    ("logs", "json"): json_logs.OTLPLogExporter,
    ("traces", "console"): ConsoleSpanExporter,
    ("metrics", "console"): ConsoleMetricExporter,
    ("logs", "console"): ConsoleLogRecordExporter,
    ("traces", "file"): FileSpanExporter,
    ("metrics", "file"): FileMetricExporter,
    ("logs", "file"): FileLogExporter,
}


def recorded(signal: str, exporter: Any) -> Any:
    """Return the provider of a signal with something recorded that waits for the exporter."""
    if signal == "traces":
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=600_000))
        tracers.get_tracer("t").start_span("s").end()
        return tracers
    if signal == "logs":
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(
            BatchLogRecordProcessor(exporter, schedule_delay_millis=600_000)
        )
        loggers.get_logger("t").emit(body="b")
        return loggers
    return measured(PeriodicExportingMetricReader(exporter, 600_000))


def measured(reader: Any) -> MeterProvider:
    meters = MeterProvider([reader], shutdown_on_exit=False)
    meters.get_meter("t").create_counter("c").add(1)
    return meters


def flushed(provider: Any, milliseconds: int) -> bool:
    """Flush, and hold it to its time."""
    began = time.monotonic()
    answer: bool = provider.force_flush(milliseconds)
    assert time.monotonic() - began < LONG
    return answer


@contextmanager
def endpoint(protocol: str, state: str) -> Iterator[tuple[str, threading.Event]]:
    """Yield an address that is alive, dead, a black hole or slow, and what hurries a slow one."""
    hurry = threading.Event()
    with ExitStack() as stack:
        if state in {"alive", "slow"}:
            if state == "alive":
                hurry.set()

            def answer(_: Any) -> Any:
                hurry.wait(PATIENT)
                return b"" if protocol == "grpc" else Answer()

            backend: Any = (GrpcBackend if protocol == "grpc" else HttpBackend)(answer)
            stack.callback(backend.stop)
            stack.callback(hurry.set)
            port = backend.port
        else:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            if state == "black hole":
                listener.listen()
        yield f"http://127.0.0.1:{port}", hurry


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("state", ["alive", "dead", "black hole", "slow"])
def test_otlp(state: str, protocol: str, signal: str) -> None:
    with endpoint(protocol, state) as (address, hurry):
        where = address if protocol == "grpc" else f"{address}/v1/{signal}"
        exporter = EXPORTERS[signal, protocol](endpoint=where, timeout=PATIENT)
        provider = recorded(signal, exporter)
        if state == "alive":
            assert flushed(provider, 60_000)
        else:
            assert not flushed(provider, FLUSH)
        if state == "slow":
            hurry.set()
            assert flushed(provider, 60_000)


@pytest.mark.parametrize("signal", SIGNALS)
def test_console(signal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert flushed(recorded(signal, EXPORTERS[signal, "console"]()), 60_000)
    assert capsys.readouterr().out


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("works", [True, pytest.param(False, marks=DISK)])
def test_file(works: bool, signal: str, tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl" if works else Path("/dev/full")
    assert flushed(recorded(signal, EXPORTERS[signal, "file"](path=str(path))), 60_000) is works


def test_prometheus() -> None:
    assert flushed(measured(PrometheusMetricReader()), 60_000)


_RESULTS = {
    "traces": (SpanExporter, SpanExportResult),
    "metrics": (MetricExporter, MetricExportResult),
    "logs": (LogRecordExporter, LogRecordExportResult),
}


def others(signal: str, behaves: str, hurry: threading.Event) -> Any:
    """Return an exporter as somebody else writes it."""
    base: Any
    base, results = _RESULTS[signal]

    class Others(base):  # type: ignore[misc]
        def export(self, items: Any, *args: Any, **kwargs: Any) -> Any:
            if behaves == "raises":
                raise OSError("others")
            if behaves == "slow":
                hurry.wait(PATIENT)
            return results.FAILURE if behaves == "fails" else results.SUCCESS

        def force_flush(self, timeout_millis: float = 10_000) -> bool:
            if behaves == "dawdles":
                hurry.wait(PATIENT)
            return True

        def shutdown(self, *args: Any, **kwargs: Any) -> None:
            pass

    return Others()


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("behaves", ["works", "slow", "dawdles", "raises", "fails"])
def test_exporters_of_others(behaves: str, signal: str) -> None:
    hurry = threading.Event()
    provider = recorded(signal, others(signal, behaves, hurry))
    try:
        done = flushed(provider, FLUSH if behaves in {"slow", "dawdles"} else 60_000)
        assert done is (behaves == "works")
    finally:
        hurry.set()
    if behaves in {"slow", "dawdles"}:
        # What was late has arrived: nothing is left but what is recorded now.
        assert eventually(lambda: flushed(provider, 60_000))


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something comes true soon."""
    end = time.monotonic() + LONG
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
