"""OTLP as JSON, over HTTP and as lines, of every signal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from exporters.backends import HttpBackend

from heliograph._core import Batch, Signal
from heliograph.sdk.exporter.otlp.json.file import FileMetricExporter, FileSpanExporter
from heliograph.sdk.exporter.otlp.json.file._log_exporter import FileLogExporter
from heliograph.sdk.exporter.otlp.json.http import OTLPMetricExporter, OTLPSpanExporter
from heliograph.sdk.exporter.otlp.json.http._log_exporter import OTLPLogExporter
from heliograph.sdk.logs import LoggerProvider
from heliograph.sdk.logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import PeriodicExportingMetricReader
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from sdk.programs import run


def spans(exporter: Any, *, simple: bool = False) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    make: Any = SimpleSpanProcessor if simple else BatchSpanProcessor
    provider.add_span_processor(make(exporter))
    provider.get_tracer("t").start_span("work", attributes={"text": "é\n", "n": 2**60}).end()
    provider.shutdown()


def logs(exporter: Any, *, simple: bool = False) -> None:
    provider = LoggerProvider(shutdown_on_exit=False)
    make: Any = SimpleLogRecordProcessor if simple else BatchLogRecordProcessor
    provider.add_log_record_processor(make(exporter))
    provider.get_logger("t").emit(body={"a": [1, b"\xff", None]}, event_name="e")
    provider.shutdown()


def metrics(exporter: Any, *, simple: bool = False) -> None:
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("t").create_counter("hits").add(3, {"a": True})
    provider.get_meter("t").create_histogram("size").record(2.5)
    reader.force_flush()
    reader._collect = None
    provider.shutdown()


SIGNALS = [
    (Signal.TRACES, spans, OTLPSpanExporter, FileSpanExporter),
    (Signal.LOGS, logs, OTLPLogExporter, FileLogExporter),
    (Signal.METRICS, metrics, OTLPMetricExporter, FileMetricExporter),
]
OF_SIGNAL = pytest.mark.parametrize(("signal", "record", "http", "file"), SIGNALS)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpBackend]:
    backend = HttpBackend()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{backend.port}")
    yield backend
    backend.stop()


@pytest.mark.parametrize("simple", [False, True])
@pytest.mark.parametrize("case", SIGNALS, ids=lambda case: case[1].__name__)
def test_http_and_file_carry_what_protobuf_does(
    case: tuple[Signal, Any, Any, Any], simple: bool, backend: HttpBackend
) -> None:
    signal, record, http, file = case
    record(http(), simple=simple)
    binary = import_module(http.__module__.replace(".json.", ".proto."))
    record(getattr(binary, http.__name__)(), simple=simple)
    out = io.StringIO()
    record(file(stream=out), simple=simple)
    said, wire = backend.received[0], backend.received[-1]
    assert said.path == wire.path
    assert said.headers["content-type"] == "application/json"
    assert wire.headers["content-type"] == "application/x-protobuf"
    lines = out.getvalue().splitlines()
    assert len(lines) == 1
    bare = [
        _bare(Batch.from_json(said.body, signal)),
        _bare(Batch(signal, wire.body)),
        _bare(Batch.from_json(lines[0].encode(), signal)),
    ]
    assert bare[0] == bare[1] == bare[2]


def _bare(batch: Batch) -> Any:
    """Return what does not depend on when it was recorded."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: clean(inner)
                for key, inner in value.items()
                if not key.endswith("UnixNano") and key not in {"traceId", "spanId"}
            }
        return [clean(inner) for inner in value] if isinstance(value, list) else value

    return clean(json.loads(batch.json()))


@OF_SIGNAL
def test_a_file_is_appended_to(
    signal: Signal, record: Any, http: Any, file: Any, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    record(file(path))
    record(file(str(path)))
    lines = path.read_bytes().splitlines()
    assert [Batch.from_json(line, signal).items for line in lines] == [
        2 if signal is Signal.METRICS else 1
    ] * 2


def test_there_is_a_path_or_a_stream(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a path and a stream"):
        FileSpanExporter(tmp_path / "x", stream=io.StringIO())
    with pytest.raises(OSError, match="No such file"):
        FileSpanExporter(tmp_path / "missing" / "x")


def test_a_closed_stream_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    out = io.StringIO()
    exporter = FileSpanExporter(stream=out)
    out.close()
    for _ in range(2):
        spans(exporter)
    (error,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "could not be written to a stream" in error.message
    assert exporter.failed == 2


def test_parent_and_forked_child_write_whole_lines(tmp_path: Path) -> None:
    setup = """
import os, sys
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import SimpleSpanProcessor
from heliograph.sdk.exporter.otlp.json.file import FileSpanExporter
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(sys.argv[1])))
"""
    program = """
    pids = [os.fork() for _ in range(2)]
    for number in range(100):
        provider.get_tracer("t").start_span("x" * number).end()
    if all(pids):
        while pids:
            pid, status = os.wait()
            assert status == 0
            pids = [other for other in pids if other != pid]
    """
    path = tmp_path / "out.jsonl"
    setup = setup.replace("sys.argv[1]", repr(str(path)))
    ended = run(program.replace("all(pids)", "len([p for p in pids if p]) == 2"), 0, setup=setup)
    assert "Traceback" not in ended.stderr, ended.stderr
    lines = path.read_bytes().splitlines()
    assert sum(Batch.from_json(line, Signal.TRACES).items for line in lines) == 400
