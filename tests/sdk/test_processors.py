"""Span processors together: order, threads, the end of spans and of programs; configurators."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from exporters.backends import GrpcBackend
from opentelemetry import context, trace
from opentelemetry.sdk.trace import SpanProcessor as OfficialProcessor

import heliograph.sdk.trace as sdk
from heliograph.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    RuleBasedTracerConfigurator,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerConfig,
    TracerProvider,
)
from heliograph.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from sdk.programs import names, run

MULTI = [SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor]


def tracer_of(multi: Any, *processors: Any) -> trace.Tracer:
    provider = TracerProvider(active_span_processor=multi(), shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider.get_tracer("t")


class Marks(SpanProcessor):
    """Notes what it is told, and the value of ``key`` in the context then."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.told.append(("start", span.name, context.get_value("key")))

    def on_ending(self, span: Any) -> None:
        span.set_attribute("ending", span.name)
        self.told.append(("ending", span.name, context.get_value("key")))

    def on_end(self, span: Any) -> None:
        self.told.append(("end", dict(span.attributes), context.get_value("key")))


class Older(OfficialProcessor):
    """Written for the official SDK, with its private name."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def _on_ending(self, span: Any) -> None:
        span.set_attribute("older", True)
        self.told.append("ending")


@pytest.mark.parametrize("multi", MULTI)
def test_all_are_told_in_the_callers_context(multi: Any) -> None:
    one, two, older = Marks(), Marks(), Older()
    tracer = tracer_of(multi, one, older, two)
    token = context.attach(context.set_value("key", 7))
    tracer.start_span("s").end()
    context.detach(token)
    attributes = {"ending": "s", "older": True}
    assert one.told == two.told
    assert one.told == [("start", "s", 7), ("ending", "s", 7), ("end", attributes, 7)]
    assert older.told == ["ending"]


@pytest.mark.parametrize("multi", MULTI)
def test_what_one_raises_does_not_keep_the_others_from_being_told(
    multi: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise OSError("start")

        def on_ending(self, span: Any) -> None:
            raise OSError("ending")

        def on_end(self, span: Any) -> None:
            raise OSError("end")

    marks = Marks()
    tracer_of(multi, Broken(), marks).start_span("s").end()
    assert [told[0] for told in marks.told] == ["start", "ending", "end"]
    assert len(caplog.records) == 3


@pytest.mark.parametrize("multi", MULTI)
def test_while_a_span_ends_no_other_thread_changes_it(
    multi: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Meddling(SpanProcessor):
        def on_ending(self, span: Any) -> None:
            def meddle() -> None:
                span.set_attribute("meddled", True)
                span.update_name("meddled")

            thread = threading.Thread(target=meddle)
            thread.start()
            thread.join()
            span.set_attribute("own", span.is_recording())

    marks = Marks()
    tracer_of(multi, Meddling(), marks).start_span("s").end()
    assert marks.told[-1][:2] == ("end", {"own": True, "ending": "s"})
    assert len(caplog.records) == 2


SETUP = """
import os, sys
from opentelemetry import trace
from heliograph.sdk.trace import SpanProcessor, TracerProvider
from heliograph.sdk.trace import ConcurrentMultiSpanProcessor, SynchronousMultiSpanProcessor
from heliograph.sdk.trace.export import BatchSpanProcessor
from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

class Slow(SpanProcessor):
    def shutdown(self):
        tracer.start_span("too late").end()
        print("shut down", os.getpid() == parent)

parent = os.getpid()
multi = {multi}()
trace.set_tracer_provider(TracerProvider(active_span_processor=multi))
tracer = trace.get_tracer("program")
multi.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["ENDPOINT"])))
multi.add_span_processor(Slow())
"""

PROGRAM = """
for number in range(3):
    tracer.start_span(f"span {number}").end()
child = os.fork()
if child == 0:
    tracer.start_span("child").end()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("multi", [multi.__name__ for multi in MULTI])
def test_nothing_is_lost_at_exit(backend: GrpcBackend, multi: str) -> None:
    ended = run(PROGRAM, backend.port, setup=SETUP.replace("{multi}", multi))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(ended.stdout.split("\n")) == ["", "shut down False", "shut down True"]
    assert names(backend.received) == ["child", "span 0", "span 1", "span 2"]


# Configurators


def test_rules_turn_scopes_off() -> None:
    rules = [
        (lambda scope: scope.name == "a" and scope.version == "2", TracerConfig(True)),
        (lambda scope: scope.name == "a", TracerConfig(is_enabled=False)),
    ]
    configurator = RuleBasedTracerConfigurator(rules=rules, default_config=TracerConfig())
    provider = TracerProvider(tracer_configurator=configurator, shutdown_on_exit=False)

    def enabled() -> list[bool]:
        scopes = [("a", "1"), ("a", "2"), ("b", "1")]
        return [provider.get_tracer(*one).start_span("s").is_recording() for one in scopes]

    assert enabled() == [False, True, True]
    configurator.update_rules([(lambda scope: True, TracerConfig(is_enabled=False))])
    provider.set_tracer_configurator(configurator)
    assert enabled() == [False] * 3


def test_children_of_a_disabled_tracer_belong_to_its_parent() -> None:
    off = RuleBasedTracerConfigurator(
        rules=[(lambda scope: scope.name == "off", TracerConfig(is_enabled=False))],
        default_config=TracerConfig(),
    )
    provider = TracerProvider(tracer_configurator=off, shutdown_on_exit=False)
    on = provider.get_tracer("on")
    silent = provider.get_tracer("off")
    with on.start_as_current_span("one") as one, silent.start_as_current_span("two") as two:
        assert two.get_span_context() == one.get_span_context()
        three: Any = on.start_span("three")
        assert three.parent == one.get_span_context()


def test_the_official_private_names_work() -> None:
    config: Any = sdk._TracerConfig(is_enabled=False)
    make: Any = sdk._RuleBasedTracerConfigurator
    provider = TracerProvider(
        _tracer_configurator=make(rules=[], default_config=config), shutdown_on_exit=False
    )
    tracer: Any = provider.get_tracer("t")
    assert not tracer._is_enabled()
    provider._set_tracer_configurator(tracer_configurator=lambda scope: TracerConfig.default())
    assert tracer._is_enabled()


@pytest.mark.parametrize("answer", [True, False])
def test_a_flush_flushes_the_exporter_too_and_says_whether_that_worked(answer: bool) -> None:
    class Exporter(SpanExporter):
        calls: list[Any] = []  # noqa: RUF012 - of this test alone

        def export(self, spans: Any) -> SpanExportResult:
            self.calls += [span.name for span in spans]
            return SpanExportResult.SUCCESS

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            self.calls.append(0 < timeout_millis <= 20000)
            return answer

    processor = BatchSpanProcessor(Exporter())
    tracer_of(SynchronousMultiSpanProcessor, processor).start_span("s").end()
    assert processor.force_flush(20000) is answer
    assert Exporter.calls == ["s", True]
    processor.shutdown()
