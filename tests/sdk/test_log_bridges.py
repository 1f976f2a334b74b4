"""structlog and loguru as sources of log records, and trace ids in ordinary log formats."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from loguru._logger import Core, Logger
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber

from heliograph.sdk.logs import (
    ConcurrentMultiLogRecordProcessor,
    LoggerProvider,
    LoggingHandler,
    LogRecordProcessor,
    ReadableLogRecord,
)
from heliograph.sdk.logs.bridges import LoguruSink, StructlogBridge
from heliograph.sdk.logs.correlation import (
    FORMAT,
    TraceContextFilter,
    correlate_from_environment,
    correlate_logging,
    loguru_fields,
    structlog_fields,
    trace_fields,
)
from heliograph.sdk.logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from heliograph.sdk.trace import TracerProvider
from sdk.programs import run


class Taken:
    """A provider, and the records that it exports."""

    def __init__(self) -> None:
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self._exporter = InMemoryLogRecordExporter()
        processor = SimpleLogRecordProcessor(self._exporter)
        self.provider.add_log_record_processor(processor)

    @property
    def records(self) -> tuple[ReadableLogRecord, ...]:
        return self._exporter.get_finished_logs()

    def only(self) -> Any:
        (record,) = self.records
        return record.log_record


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def tracer() -> trace.Tracer:
    return TracerProvider(shutdown_on_exit=False).get_tracer("t")


def structured(*processors: Any, sink: Any = None, **options: Any) -> Any:
    """Return a logger of structlog that prints to ``sink``."""
    printed = io.StringIO() if sink is None else sink
    chain = [*processors, structlog.processors.KeyValueRenderer()]
    return structlog.wrap_logger(structlog.PrintLogger(printed), processors=chain, **options)


def test_an_event_of_structlog_is_a_record(taken: Taken, tracer: trace.Tracer) -> None:
    out = io.StringIO()
    log = structured(
        structlog.stdlib.add_log_level,
        structlog.processors.CallsiteParameterAdder(
            {
                structlog.processors.CallsiteParameter.FUNC_NAME,
                structlog.processors.CallsiteParameter.LINENO,
            }
        ),
        structlog_fields,
        StructlogBridge(taken.provider),
        sink=out,
    )
    with tracer.start_as_current_span("s") as span:
        log.bind(order=7).warning("paid", amount=1.5, logger="shop")
    record = taken.only()
    context = span.get_span_context()
    assert (record.trace_id, record.span_id) == (context.trace_id, context.span_id)
    assert (record.body, record.severity_text) == ("paid", "WARN")
    assert record.severity_number is SeverityNumber.WARN
    assert record.timestamp > 0
    function = record.attributes["code.function.name"]
    assert function == "test_an_event_of_structlog_is_a_record"
    assert {key: record.attributes[key] for key in ("order", "amount")} == {
        "order": 7,
        "amount": 1.5,
    }
    assert set(record.attributes) == {"order", "amount", "code.function.name", "code.line.number"}
    scope = taken.records[0].instrumentation_scope
    assert scope is not None
    assert scope.name == "shop"
    assert f"trace_id='{context.trace_id:032x}'" in out.getvalue()
    assert out.getvalue().count("paid") == 1


@pytest.mark.parametrize(
    ("method", "number", "text"),
    [
        ("debug", SeverityNumber.DEBUG, "DEBUG"),
        ("info", SeverityNumber.INFO, "INFO"),
        ("msg", SeverityNumber.INFO, "INFO"),
        ("warn", SeverityNumber.WARN, "WARN"),
        ("error", SeverityNumber.ERROR, "ERROR"),
        ("critical", SeverityNumber.FATAL, "FATAL"),
        ("fatal", SeverityNumber.FATAL, "FATAL"),
    ],
)
def test_methods_of_structlog_are_levels(
    method: str, number: SeverityNumber, text: str, taken: Taken
) -> None:
    getattr(structured(StructlogBridge(taken.provider)), method)("x")
    assert (taken.only().severity_number, taken.only().severity_text) == (number, text)


def test_structlog_tells_of_exceptions(taken: Taken) -> None:
    log = structured(StructlogBridge(taken.provider))
    try:
        raise KeyError("k")
    except KeyError as error:
        log.exception("one")
        log.error("two", exc_info=error)
        log.error("three", exc_info=True)
    log.error("four", exc_info=True)
    told = [record.log_record.attributes.get("exception.type") for record in taken.records]
    assert told == ["KeyError", "KeyError", "KeyError", None]


def test_structlog_through_our_handler_is_one_record(taken: Taken) -> None:
    under = logging.getLogger("test.structlog")
    under.setLevel(logging.INFO)
    handler = LoggingHandler(logger_provider=taken.provider)
    under.addHandler(handler)
    log = structlog.wrap_logger(
        under,
        processors=[
            StructlogBridge(taken.provider),
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
    )
    try:
        log.info("once", a=1)
    finally:
        under.removeHandler(handler)
    assert taken.only().body == "event='once' a=1"


@pytest.fixture
def loud(taken: Taken) -> Iterator[tuple[Any, io.StringIO]]:
    """A logger of loguru with a console and a bridge."""
    out = io.StringIO()
    made = Logger(Core(), None, 0, False, False, False, False, True, [], {})
    made.add(out, format="{level} {message} {extra}")
    made.add(LoguruSink(taken.provider), format="{message}", level=0, catch=False)
    yield made, out
    made.remove()


def test_a_message_of_loguru_is_a_record(
    taken: Taken, tracer: trace.Tracer, loud: tuple[Any, io.StringIO]
) -> None:
    log, out = loud
    with tracer.start_as_current_span("s") as span:
        log.bind(order=7).success("paid {}", 5)
    record = taken.only()
    assert record.trace_id == span.get_span_context().trace_id
    assert (record.body, record.severity_text) == ("paid 5", "SUCCESS")
    assert record.severity_number is SeverityNumber.INFO4
    assert record.attributes["order"] == 7
    assert record.attributes["code.function.name"] == "test_a_message_of_loguru_is_a_record"
    assert record.attributes["code.file.path"] == __file__
    scope = taken.records[0].instrumentation_scope
    assert scope is not None
    assert scope.name == __name__
    assert out.getvalue().count("paid") == 1


def test_loguru_tells_of_exceptions_and_small_levels(
    taken: Taken, loud: tuple[Any, io.StringIO]
) -> None:
    log, _ = loud
    log.trace("small")
    try:
        raise ValueError("v")
    except ValueError:
        log.exception("failed")
    small, failed = (record.log_record for record in taken.records)
    assert small.severity_number is SeverityNumber.TRACE
    assert failed.attributes is not None
    assert failed.attributes["exception.type"] == "ValueError"
    assert "test_loguru_tells" in str(failed.attributes["exception.stacktrace"])


def test_loguru_keeps_the_ids_for_a_sink_on_another_thread(
    taken: Taken, tracer: trace.Tracer
) -> None:
    log = Logger(Core(), None, 0, False, False, False, False, True, [loguru_fields], {})
    log.add(LoguruSink(taken.provider), format="{message}", enqueue=True)
    with tracer.start_as_current_span("s") as span:
        log.info("later")
    log.complete()
    log.remove()
    record, context = taken.only(), span.get_span_context()
    assert (record.trace_id, record.span_id) == (context.trace_id, context.span_id)
    assert record.trace_flags == 1
    assert not any(key.startswith("otel") for key in record.attributes)


class Chatty(LogRecordExporter):
    """Logs through the library whose records it exports."""

    def __init__(self, say: Any) -> None:
        self.say, self.taken = say, 0

    def export(self, batch: Any) -> LogRecordExportResult:
        self.taken += len(batch)
        self.say()
        return LogRecordExportResult.SUCCESS


@pytest.mark.parametrize("processor", [SimpleLogRecordProcessor, BatchLogRecordProcessor])
@pytest.mark.parametrize("concurrent", [False, True])
def test_what_exporters_log_is_not_exported(processor: Any, concurrent: bool) -> None:
    many = ConcurrentMultiLogRecordProcessor() if concurrent else None
    provider = LoggerProvider(shutdown_on_exit=False, multi_log_record_processor=many)
    log = structured(StructlogBridge(provider))
    exporter = Chatty(lambda: log.info("exporting"))
    provider.add_log_record_processor(processor(exporter))
    log.info("one")
    provider.force_flush()
    provider.shutdown()
    assert exporter.taken == 1


def test_concurrent_processors_are_told_and_asked(tracer: trace.Tracer) -> None:
    class Wants(LogRecordProcessor):
        def __init__(self, wants: bool) -> None:
            self.wants = wants
            self.seen: list[trace.Span] = []

        def on_emit(self, log_record: Any) -> None:
            self.seen.append(trace.get_current_span())

        def enabled(self, **about: Any) -> bool:
            return self.wants

    first, second = Wants(False), Wants(False)
    many = ConcurrentMultiLogRecordProcessor(max_workers=2)
    provider = LoggerProvider(shutdown_on_exit=False, multi_log_record_processor=many)
    provider.add_log_record_processor(first)
    provider.add_log_record_processor(second)
    logger = provider.get_logger("l")
    assert not logger.enabled(severity_number=SeverityNumber.INFO, event_name="e")
    second.wants = True
    assert logger.enabled()
    with tracer.start_as_current_span("s") as span:
        logger.emit(body="x")
    assert first.seen == second.seen == [span]
    assert provider.force_flush()
    provider.shutdown()


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger without handlers."""
    made, root = logging.getLogRecordFactory(), logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        yield root
    finally:
        root.handlers = handlers
        root.setLevel(level)
        logging.setLogRecordFactory(made)


def test_the_filter_puts_ids_into_a_format(tracer: trace.Tracer, taken: Taken) -> None:
    out = io.StringIO()
    shown = logging.StreamHandler(out)
    shown.setFormatter(logging.Formatter("%(otelTraceID)s %(otelTraceSampled)s %(message)s"))
    shown.addFilter(TraceContextFilter())
    log = logging.Logger("x")
    log.addHandler(shown)
    log.addHandler(LoggingHandler(logger_provider=taken.provider))
    log.warning("outside")
    with tracer.start_as_current_span("s") as span:
        log.warning("inside")
    trace_id = format(span.get_span_context().trace_id, "032x")
    assert out.getvalue() == f"0 False outside\n{trace_id} True inside\n"
    attributes = [set(record.log_record.attributes or ()) for record in taken.records]
    places = {"code.file.path", "code.function.name", "code.line.number"}
    assert attributes == [places, places], "a record has its ids in fields of their own"


def test_correlation_is_set_up_once(tracer: trace.Tracer) -> None:
    out = io.StringIO()
    with bare_root() as root:
        correlate_logging("%(otelSpanID)s %(message)s")
        correlate_logging(None)
        (handler,) = root.handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(out)
        with tracer.start_as_current_span("s") as span:
            logging.info("inside")
        inner = logging.getLogRecordFactory()._make  # type: ignore[attr-defined]
        assert inner is logging.LogRecord
    assert out.getvalue() == f"{span.get_span_context().span_id:016x} inside\n"


@pytest.mark.parametrize(
    ("variables", "done", "format", "level"),
    [
        ({}, False, None, None),
        ({"OTEL_PYTHON_LOG_CORRELATION": "no"}, False, None, None),
        ({"OTEL_PYTHON_LOG_CORRELATION": "TRUE"}, True, FORMAT, logging.INFO),
        (
            {
                "OTEL_PYTHON_LOG_CORRELATION": "true",
                "OTEL_PYTHON_LOG_FORMAT": "%(message)s",
                "OTEL_PYTHON_LOG_LEVEL": "debug",
            },
            True,
            "%(message)s",
            logging.DEBUG,
        ),
        (
            {"OTEL_PYTHON_LOG_CORRELATION": "true", "OTEL_PYTHON_LOG_LEVEL": "loud"},
            True,
            FORMAT,
            logging.INFO,
        ),
    ],
)
def test_variables_of_correlation(
    variables: dict[str, str], done: bool, format: Any, level: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with bare_root() as root:
        assert correlate_from_environment() is done
        formats = [handler.formatter._fmt for handler in root.handlers if handler.formatter]
        assert formats == ([format] if done else [])
        assert not done or root.level == level


def test_fields_outside_of_spans() -> None:
    assert trace_fields() == {
        "otelTraceID": "0",
        "otelSpanID": "0",
        "otelTraceSampled": False,
        "otelServiceName": "",
    }


def test_a_disabled_sdk_emits_nothing_and_swallows_nothing() -> None:
    setup = """
import logging, sys
import structlog
from loguru import logger as log
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.logs import LoggerProvider, LoggingHandler
from heliograph.sdk.logs.bridges import LoguruSink, StructlogBridge
from heliograph.sdk.logs.correlation import correlate_logging
from heliograph.sdk.logs.export import SimpleLogRecordProcessor, ConsoleLogRecordExporter
from heliograph.sdk.resources import Resource
"""
    program = """
    trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": "shop"})))
    set_logger_provider(provider := LoggerProvider())
    provider.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
    correlate_logging("%(levelname)s %(otelServiceName)s %(message)s")
    logging.getLogger().addHandler(LoggingHandler())
    structlog.configure([StructlogBridge(), structlog.processors.KeyValueRenderer()],
                        logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    log.remove()
    log.add(sys.stderr, format="{message}")
    log.add(LoguruSink())
    logging.warning("from logging")
    structlog.get_logger().info("from structlog")
    log.info("from loguru")
    """
    ended = run(program, 0, setup=setup, OTEL_SDK_DISABLED="true")
    assert (ended.returncode, ended.stdout) == (0, "")
    expected = ["WARNING shop from logging", "event='from structlog'", "from loguru"]
    assert ended.stderr.splitlines() == expected
    ended = run(program, 0, setup=setup)
    assert ended.stdout.count('"body": "from ') == 3
    assert ended.stderr.splitlines() == expected
