"""What goes wrong in the SDK, or in what a program gave it, never reaches the program."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry._logs import LogRecord
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from heliograph import _core
from heliograph.sdk import _fence
from heliograph.sdk.logs import LoggerProvider, LoggingHandler, LogRecordProcessor
from heliograph.sdk.logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from heliograph.sdk.trace import SpanProcessor, TracerProvider
from heliograph.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from heliograph.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from heliograph.sdk.trace.id_generator import IdGenerator
from heliograph.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler

FAIL = 2**64 - 1
"""The time at which the core's clock fails."""


class Mute:
    """Has no text, and says so."""

    def __str__(self) -> str:
        raise OSError("mute")

    __repr__ = __str__


class MuteError(Exception):
    def __str__(self) -> str:
        raise OSError("mute")


class Raising:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise OSError(name)

    def __iter__(self) -> Iterator[Any]:
        raise OSError("iter")

    def __bool__(self) -> bool:
        raise OSError("bool")


class RaisingSampler(Sampler):
    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("sampler")

    def get_description(self) -> str:
        return "raises"


class OddSampler(RaisingSampler):
    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        return "yes"


class RaisingIds(IdGenerator):
    def generate_span_id(self) -> int:
        raise OSError("ids")

    generate_trace_id = generate_span_id


class OddIds(IdGenerator):
    def generate_span_id(self) -> int:
        return 2**70

    def generate_trace_id(self) -> int:
        return -1


class RaisingProcessor(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise OSError("start")

    def on_ending(self, span: Any) -> None:
        raise OSError("ending")

    def on_end(self, span: Any) -> None:
        raise OSError("end")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise OSError("flush")

    def shutdown(self) -> None:
        raise OSError("shutdown")


class RaisingExporter(SpanExporter):
    def export(self, spans: Any) -> Any:
        raise OSError("export")

    force_flush = shutdown = export  # type: ignore[assignment]


class RaisingMulti(RaisingProcessor):
    def add_span_processor(self, span_processor: Any) -> None:
        """Keep none."""


class RaisingLogProcessor(LogRecordProcessor):
    def on_emit(self, log_record: Any) -> None:
        raise OSError("emit")

    def enabled(self, **about: Any) -> bool:
        raise OSError("enabled")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise OSError("flush")

    def shutdown(self) -> None:
        raise OSError("shutdown")


class RaisingSpan(trace.NonRecordingSpan):
    """A span of somebody else, current in the program."""

    def get_span_context(self) -> Any:
        raise OSError("span context")


def tracer_with(**given: Any) -> tuple[TracerProvider, InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    processors = given.pop("processors", ())
    provider = TracerProvider(shutdown_on_exit=False, **given)
    for one in processors:
        provider.add_span_processor(one)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return provider, kept


def use(provider: TracerProvider) -> str:
    """Record a parent, a child and an exception in every way; return what the app saw."""
    tracer = provider.get_tracer("t")
    seen = []
    with contextlib.suppress(KeyError), tracer.start_as_current_span("parent") as span:
        span.set_attribute("key", "value")
        tracer.start_span("child").end()
        seen.append("inside")
        raise KeyError("the app's own")
    provider.force_flush()
    provider.shutdown()
    seen.append("after")
    return ", ".join(seen)


HOOKS: dict[str, tuple[dict[str, Callable[[], Any]], int, str]] = {
    # what is given, spans that are kept, what is said
    "sampler": ({"sampler": RaisingSampler}, 0, "a sampler raised"),
    "sampler's answer": ({"sampler": OddSampler}, 0, "a sampler raised"),
    "sampler of roots": ({"sampler": lambda: ParentBased(RaisingSampler())}, 0, "a sampler raised"),
    "id generator": ({"id_generator": RaisingIds}, 2, "an id generator raised"),
    "ids": ({"id_generator": OddIds}, 2, "an id generator raised"),
    "processor": ({"processors": lambda: [RaisingProcessor()]}, 2, "a span processor raised"),
    "exporter": (
        {"processors": lambda: [SimpleSpanProcessor(RaisingExporter())]},
        2,
        "an exporter of spans raised",
    ),
    "processor of all": ({"active_span_processor": RaisingMulti}, 0, "a span processor raised"),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_no_hook_of_spans_raises_into_the_app(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    given, kept, said = HOOKS[hook]
    provider, exporter = tracer_with(**{name: make() for name, make in given.items()})
    assert use(provider) == "inside, after"
    spans = exporter.get_finished_spans()
    assert len(spans) == kept
    assert all(span.context.is_valid for span in spans if span.context)
    assert len({span.context.trace_id for span in spans if span.context}) == (1 if kept else 0)
    assert said in caplog.text


def test_where_a_sampler_raises_the_parent_decides(caplog: pytest.LogCaptureFixture) -> None:
    provider, exporter = tracer_with(sampler=RaisingSampler())
    for flags in (0, 1):
        parent = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(flags))
        above = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        provider.get_tracer("t").start_span("child", context=above).end()
    (span,) = exporter.get_finished_spans()
    assert span.parent is not None
    assert span.parent.trace_flags == 1
    assert len(caplog.records) == 1, "the same failure is said once in a while"


def calls(span: Any) -> dict[str, Callable[[], Any]]:
    return {
        "attribute": lambda: span.set_attribute("key", Mute()),
        "attribute's key": lambda: span.set_attribute(Mute(), 1),
        "attributes": lambda: span.set_attributes(Raising()),
        "attributes that are none": lambda: span.set_attributes(7),
        "event": lambda: span.add_event(Mute()),
        "event's attributes": lambda: span.add_event("e", {"key": Mute(), Mute(): 1}),
        "event's time": lambda: span.add_event("e", {}, Raising()),
        "link": lambda: span.add_link(Raising()),
        "link's attributes": lambda: span.add_link(span.get_span_context(), Raising()),
        "status": lambda: span.set_status(Raising(), Mute()),
        "description": lambda: span.set_status(trace.StatusCode.ERROR, Mute()),
        "name": lambda: span.update_name(Mute()),
        "exception": lambda: span.record_exception(MuteError()),
        "exception that is none": lambda: span.record_exception(7),
        "exception's attributes": lambda: span.record_exception(KeyError("k"), Raising()),
        "end": lambda: span.end(Raising()),
    }


@pytest.mark.parametrize("call", calls(None))
def test_what_is_passed_to_a_span_never_raises(call: str) -> None:
    provider, exporter = tracer_with()
    span = provider.get_tracer("t").start_span("s")
    calls(span)[call]()
    span.set_attribute("after", True)
    span.end()
    (found,) = exporter.get_finished_spans()
    assert (found.attributes or {}).get("after", call == "end")


STARTS: dict[str, dict[str, Any]] = {
    "name": {"name": Mute()},
    "attributes": {"name": "s", "attributes": Raising()},
    "attribute": {"name": "s", "attributes": {"key": Mute()}},
    "kind": {"name": "s", "kind": Mute()},
    "links": {"name": "s", "links": Raising()},
    "links that are none": {"name": "s", "links": 7},
    "link": {"name": "s", "links": [Raising()]},
    "time": {"name": "s", "start_time": Raising()},
    "context": {"name": "s", "context": Raising()},
    "parent": {"name": "s", "context": trace.set_span_in_context(RaisingSpan(None))},  # type: ignore[arg-type]
}


@pytest.mark.parametrize("start", STARTS)
def test_what_a_span_starts_with_never_raises(start: str) -> None:
    provider, exporter = tracer_with()
    tracer = provider.get_tracer("t")
    tracer.start_span(**STARTS[start]).end()
    with tracer.start_as_current_span(**STARTS[start]) as span:
        span.set_attribute("inside", True)
    assert [(span.attributes or {}).get("inside") for span in exporter.get_finished_spans()] == [
        None,
        True,
    ]


def test_an_exception_without_text_leaves_a_block_as_itself() -> None:
    provider, exporter = tracer_with()
    with pytest.raises(MuteError), provider.get_tracer("t").start_as_current_span("s"):
        raise MuteError
    (span,) = exporter.get_finished_spans()
    assert span.status.description == "MuteError: <exception str() failed>"
    assert span.events[0].attributes is not None
    assert span.events[0].attributes["exception.message"] == "<exception str() failed>"


def test_odd_names_of_scopes_never_raise() -> None:
    provider, exporter = tracer_with()
    for arguments in [(7,), ("t", 1.0), ("t", "1", 7), ("t", None, None, {"key": [Mute()]})]:
        provider.get_tracer(*arguments).start_span("s").end()
    assert len(exporter.get_finished_spans()) == 4


class Interrupting(SpanProcessor):
    """As when the user presses Ctrl-C in a processor."""

    def __init__(self, at: str) -> None:
        setattr(self, at, self.interrupt)

    def interrupt(self, *args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["on_ending", "on_end"])
def test_an_interrupt_is_no_failure(at: str, caplog: pytest.LogCaptureFixture) -> None:
    provider, exporter = tracer_with(processors=[Interrupting(at)])
    span = provider.get_tracer("t").start_span("s")
    with pytest.raises(KeyboardInterrupt):
        span.end()
    assert [span.name for span in exporter.get_finished_spans()] == ["s"]
    assert not span.is_recording()
    assert not caplog.records


class Encoded:
    """An exporter of ours: keeps the bodies of records that are encoded as they come."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    def export_batch(self, batch: Any, timeout: float) -> bool:
        request = ExportLogsServiceRequest.FromString(bytes(batch.wire()))
        self.bodies += [
            record.body.string_value
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
        return True

    def shutdown(self) -> None:
        """Nothing to do."""


def encoding() -> tuple[LoggerProvider, Encoded]:
    kept = Encoded()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(kept))  # type: ignore[arg-type]
    return provider, kept


class Objects(InMemoryLogRecordExporter):
    @property
    def bodies(self) -> list[Any]:
        return [one.log_record.body for one in self.get_finished_logs()]


def logger_with(*processors: Any) -> tuple[LoggerProvider, Objects]:
    kept = Objects()
    provider = LoggerProvider(shutdown_on_exit=False)
    for one in (*processors, SimpleLogRecordProcessor(kept)):
        provider.add_log_record_processor(one)
    return provider, kept


BODIES: dict[str, Any] = {
    "mute": Mute(),
    "mute inside": {"key": [Mute()], "other": {"key": Mute()}},
    "key": {Mute(): 1},
    "raising": Raising(),
}


@pytest.mark.parametrize("way", [encoding, logger_with])
@pytest.mark.parametrize("body", BODIES)
def test_no_body_raises_into_the_app(body: str, way: Callable[[], Any]) -> None:
    provider, kept = way()
    logger = provider.get_logger("t")
    logger.emit(body=BODIES[body], attributes={"key": BODIES[body]})
    logger.emit(LogRecord(body=BODIES[body], attributes={"key": BODIES[body]}))
    logger.emit(body="after", exception=MuteError())
    provider.force_flush()
    assert kept.bodies[-1] == "after"


@pytest.mark.parametrize("of_all", [False, True])
def test_no_hook_of_logs_raises_into_the_app(
    of_all: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if of_all:
        provider = LoggerProvider(
            shutdown_on_exit=False, multi_log_record_processor=RaisingLogProcessor()
        )
    else:
        provider, kept = logger_with(RaisingLogProcessor())
    logger = provider.get_logger("t")
    assert logger.enabled()
    logger.emit(body="one")
    logger.emit(LogRecord(body="two"))
    assert provider.force_flush() is False
    provider.shutdown()
    if not of_all:
        assert kept.bodies == ["one", "two"]
    assert "raised" in caplog.text


def test_what_the_bridge_of_logging_meets_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    provider, kept = logger_with(RaisingLogProcessor())
    log = logging.Logger("t")
    log.addHandler(LoggingHandler(logger_provider=provider))
    log.error(Mute())
    log.error("%s", Mute())
    log.error("with %s", 1, extra={"key": Mute()})
    try:
        raise MuteError
    except MuteError:
        log.exception("after")
    assert kept.bodies == ["with 1", "after"]


@pytest.fixture
def failing_clock() -> Iterator[None]:
    _core.hold_time(FAIL)
    yield
    _core.hold_time(None)


def test_a_bug_in_the_core_stays_out_of_the_program(
    failing_clock: None, caplog: pytest.LogCaptureFixture
) -> None:
    tracers, exporter = tracer_with(sampler=ALWAYS_ON)
    loggers, kept = encoding()
    before = _core.panics()
    tracer = tracers.get_tracer("t")
    with tracer.start_as_current_span("lost") as span:
        assert not span.is_recording()
    assert trace.get_current_span() is trace.INVALID_SPAN
    loggers.get_logger("t").emit(body="lost")
    log = logging.Logger("t")
    log.addHandler(LoggingHandler(logger_provider=loggers))
    log.info("lost")
    log.info("lost")
    _core.hold_time(None)
    span = tracer.start_span("kept")
    _core.hold_time(FAIL)
    span.add_event("lost")
    _core.hold_time(None)
    span.end()
    assert _core.panics() == before + 5
    assert [span.name for span in exporter.get_finished_spans()] == ["kept"]
    assert len(caplog.records) == (1 if before == 0 else 0)
    loggers.get_logger("t").emit(body="kept")
    loggers.force_flush()
    assert kept.bodies == ["kept"]


def test_the_same_failure_is_counted_until_it_is_said_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(_fence.time, "monotonic", lambda: now)

    def fail(what: str = "a part") -> None:
        try:
            raise OSError("again")
        except OSError as error:
            _fence.failed(what, error)

    for _ in range(3):
        fail()
    now += _fence.AGAIN
    fail()
    fail("another part")
    assert [record.getMessage() for record in caplog.records] == [
        "a part raised",
        "a part raised, as it did 2 times meanwhile",
        "another part raised",
    ]
    assert all(record.exc_info for record in caplog.records)


def test_nothing_of_this_is_left_in_the_context() -> None:
    assert not context.get_current()
