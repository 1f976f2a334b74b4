"""`logging` through the handler: what a record carries, and what it never does."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk import _logs as official
from opentelemetry.sdk._logs import export as official_export

from heliograph import _core
from heliograph.sdk.logs import (
    LoggerProvider,
    LoggingHandler,
    LogRecordProcessor,
    ReadWriteLogRecord,
)
from heliograph.sdk.logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from heliograph.sdk.trace import TracerProvider


class Bytes(LogRecordExporter):
    def __init__(self) -> None:
        self.request = ExportLogsServiceRequest()

    def export_batch(self, batch: _core.Batch, timeout: float) -> bool:
        self.request.MergeFromString(bytes(batch.wire()))
        return True


class Bench:
    """A logger whose only handler is ours."""

    def __init__(self, *processors: LogRecordProcessor) -> None:
        self.bytes = Bytes()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        for processor in processors:
            self.provider.add_log_record_processor(processor)
        self.provider.add_log_record_processor(BatchLogRecordProcessor(self.bytes))
        self.handler = LoggingHandler(logger_provider=self.provider)
        self.log = logging.Logger("shop.cart", logging.DEBUG)
        self.log.addHandler(self.handler)

    def records(self) -> list[LogRecord]:
        assert self.provider.force_flush()
        return [
            record
            for resource in self.bytes.request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def record(self) -> LogRecord:
        (record,) = self.records()
        return record


@pytest.fixture(params=["bytes", "objects"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    others = [] if request.param == "bytes" else [SimpleLogRecordProcessor(InMemory())]
    bench = Bench(*others)
    yield bench
    bench.provider.shutdown()


def test_a_field_names_an_event(bench: Bench) -> None:
    bench.log.info("paid", extra={"otel.event.name": "shop.paid", "amount": 5})
    bench.log.info("paid", extra={"otel.event.name": 7})
    first, second = bench.records()
    assert (first.event_name, second.event_name) == ("shop.paid", "7")
    assert first.body.string_value == "paid"
    assert "otel.event.name" not in {one.key for one in first.attributes}
    assert "amount" in {one.key for one in first.attributes}


class InMemory(InMemoryLogRecordExporter):
    pass


def attributes_of(record: LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in record.attributes:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind) if kind else None
    return found


def test_a_record_says_what_was_logged_where_and_in_which_span(bench: Bench) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("s") as span:
        bench.log.warning("%d of %s", 3, "four", extra={"user": "u1", "size": 2.5})
    record = bench.record()
    context = span.get_span_context()
    assert record.body.string_value == "3 of four"
    assert (record.severity_number, record.severity_text) == (13, "WARN")
    assert int.from_bytes(record.trace_id, "big") == context.trace_id
    assert int.from_bytes(record.span_id, "big") == context.span_id
    assert record.flags == context.trace_flags
    assert record.time_unix_nano <= record.observed_time_unix_nano
    found = attributes_of(record)
    assert found.pop("code.line.number") > 0
    assert found == {
        "user": "u1",
        "size": 2.5,
        "code.file.path": __file__,
        "code.function.name": test_a_record_says_what_was_logged_where_and_in_which_span.__name__,
    }
    assert bench.bytes.request.resource_logs[0].scope_logs[0].scope.name == "shop.cart"


def test_exceptions_are_told(bench: Bench) -> None:
    class Odd(Exception):
        pass

    try:
        raise Odd("no", "way")
    except Odd:
        bench.log.exception("failed")
    found = attributes_of(bench.record())
    assert found["exception.type"].endswith("<locals>.Odd")
    assert found["exception.message"] == "('no', 'way')"
    assert "raise Odd" in found["exception.stacktrace"]


@pytest.mark.parametrize(
    ("level", "number", "text"),
    [
        (5, 0, "Level 5"),
        (10, 5, "DEBUG"),
        (25, 12, "Level 25"),
        (50, 21, "FATAL"),
        (99, 24, "Level 99"),
    ],
)
def test_levels(bench: Bench, level: int, number: int, text: str) -> None:
    bench.log.setLevel(1)
    bench.log.log(level, "x")
    record = bench.record()
    assert (record.severity_number, record.severity_text) == (number, text)


def test_bodies_that_are_no_text(bench: Bench) -> None:
    bench.log.info({"a": [1]})
    bench.log.info(object())
    bench.log.info(None)
    bodies = [record.body for record in bench.records()]
    kinds = [body.WhichOneof("value") for body in bodies]
    assert kinds == ["kvlist_value", "string_value", None]
    assert bodies[1].string_value.startswith("<object object")


def test_a_formatter_makes_the_body(bench: Bench) -> None:
    bench.handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    bench.log.info("hello")
    assert bench.record().body.string_value == "INFO: hello"


def test_a_message_that_cannot_be_formatted_does_not_raise(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.log.info("%d", "text")
    assert bench.records() == []
    assert "Logging error" in capsys.readouterr().err


@pytest.mark.official
def test_the_same_as_the_official_handler(recwarn: pytest.WarningsRecorder) -> None:
    memory = official_export.InMemoryLogRecordExporter()
    provider = official.LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(official_export.SimpleLogRecordProcessor(memory))
    bench = Bench()
    bench.log.addHandler(official.LoggingHandler(logger_provider=provider))
    bench.log.warning("a %s", "b", extra={"list": [1, "x"], "deep": {"k": None}})
    bench.log.critical(["a", 1])
    bench.log.debug("")
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

    theirs = encode_logs(memory.get_finished_logs()).resource_logs[0].scope_logs[0].log_records
    found = bench.records()
    for record in (*theirs, *found):
        record.observed_time_unix_nano = 0
    assert [str(record) for record in found] == [str(record) for record in theirs]


class Chatty(LogRecordExporter):
    """Logs while it exports, as clients do."""

    def __init__(self, log: logging.Logger) -> None:
        self.log = log
        self.exported: list[Any] = []

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        self.exported += batch
        self.log.error("exporting %d", len(batch))
        return LogRecordExportResult.FAILURE


@pytest.mark.parametrize("kind", [SimpleLogRecordProcessor, BatchLogRecordProcessor])
def test_what_exporters_log_is_not_exported_in_turn(kind: Any) -> None:
    bench = Bench()
    chatty = Chatty(bench.log)
    bench.provider.add_log_record_processor(kind(chatty))
    bench.log.info("once")
    bench.provider.force_flush()
    assert [one.log_record.body for one in chatty.exported] == ["once"]
    assert len(bench.records()) == 1


def test_a_processor_that_raises_is_said_once_for_each_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(LogRecordProcessor):
        def on_emit(self, log_record: ReadWriteLogRecord) -> None:
            raise ValueError("broken")

    bench = Bench(Broken())
    own = logging.getLogger("heliograph.sdk.logs")
    own.addHandler(bench.handler)
    try:
        bench.log.info("x")
    finally:
        own.removeHandler(bench.handler)
    assert bench.record().body.string_value == "x"
    assert [one.getMessage() for one in caplog.records] == ["a log record processor raised"]


def test_what_a_processor_changes_later_ones_see() -> None:
    class Redact(LogRecordProcessor):
        def on_emit(self, log_record: ReadWriteLogRecord) -> None:
            log_record.log_record.body = "redacted"
            assert log_record.log_record.attributes is not None
            log_record.log_record.attributes["seen"] = True  # type: ignore[index]

    bench = Bench(Redact())
    bench.log.info("secret")
    record = bench.record()
    assert record.body.string_value == "redacted"
    assert attributes_of(record)["seen"] is True


def test_official_processors_and_exporters_take_our_records() -> None:
    memory = official_export.InMemoryLogRecordExporter()
    bench = Bench()
    bench.provider.add_log_record_processor(
        official_export.SimpleLogRecordProcessor(memory)  # type: ignore[arg-type]
    )
    bench.provider.add_log_record_processor(BatchLogRecordProcessor(memory))  # type: ignore[arg-type]
    bench.log.info("both", extra={"a": 1})
    bench.provider.force_flush()
    assert [one.log_record.body for one in memory.get_finished_logs()] == ["both", "both"]
    assert memory.get_finished_logs()[1].log_record.attributes["a"] == 1  # type: ignore[index]
    assert bench.record().body.string_value == "both"


def test_our_handler_takes_an_official_provider() -> None:
    memory = official_export.InMemoryLogRecordExporter()
    provider = official.LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(official_export.SimpleLogRecordProcessor(memory))
    log = logging.Logger("foreign")
    log.addHandler(LoggingHandler(logger_provider=provider))
    log.warning("to them", extra={"a": 1})
    (found,) = memory.get_finished_logs()
    assert (found.log_record.body, found.log_record.severity_text) == ("to them", "WARN")
    assert found.log_record.attributes is not None
    assert found.log_record.attributes["a"] == 1


def test_spans_of_another_sdk_are_found(bench: Bench) -> None:
    context = trace.SpanContext(5, 6, False, trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        bench.log.info("x")
    assert bench.record().trace_id[-1] == 5


def test_a_disabled_logger_takes_nothing() -> None:
    bench = Bench()
    bench.log.info("before")
    bench.provider.set_logger_configurator(lambda scope: scope.name != "shop.cart" or Off())
    bench.log.info("after")
    assert [record.body.string_value for record in bench.records()] == ["before"]
    assert not bench.provider.get_logger("shop.cart").enabled()


class Off:
    is_enabled = False
