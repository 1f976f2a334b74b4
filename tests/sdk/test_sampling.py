"""Samplers: thresholds in the trace state, composition, and what Jaeger says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import _sampling_experimental as official
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState

from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import ReadableSpan, TracerProvider, _sampling_experimental, composable
from heliograph.sdk.trace import sampling as samplers
from heliograph.sdk.trace._tracestate import NEVER, Sampling, threshold_of, threshold_text
from heliograph.sdk.trace.export import SimpleSpanProcessor
from heliograph.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from heliograph.sdk.trace.jaeger_remote import JaegerRemoteSampler, RateLimited, sampler_of
from heliograph.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    AlwaysRecordSampler,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)

LOW, HIGH = 0x0123 << 64 | 1, 0x0123 << 64 | (NEVER - 1)
"""Trace ids of the lowest and the highest randomness."""


def context(trace_id: int, *, flags: int = 3, state: str = "", remote: bool = True) -> Any:
    parent = SpanContext(
        trace_id, 5, remote, TraceFlags(flags), TraceState.from_header([state]) if state else None
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


def start(sampler: Any, parent: Any = None, **more: Any) -> Any:
    return (
        TracerProvider(sampler=sampler, shutdown_on_exit=False)
        .get_tracer("t")
        .start_span("one", context=parent, **more)
    )


def state_of(span: Any) -> str:
    return str(span.get_span_context().trace_state.to_header())


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        # The table of the specification, at its precision of four digits.
        (1, "0"),
        (0.5, "8"),
        (1 / 3, "aaab"),
        (0.25, "c"),
        (0.2, "cccd"),
        (0.125, "e"),
        (0.1, "e666"),
        (0.0625, "f"),
        (0.01, "fd70a"),
        (0.001, "ffbe77"),
        (0.0001, "fff9724"),
        (0.00001, "ffff583a"),
        (0.000001, "ffffef39"),
    ],
)
def test_thresholds_are_those_of_the_specification(ratio: float, text: str) -> None:
    assert threshold_text(threshold_of(ratio)) == text


@given(st.floats(0, 1))
def test_a_threshold_is_near_its_ratio_and_reads_back(ratio: float) -> None:
    threshold = threshold_of(ratio)
    assert abs((NEVER - threshold) / NEVER - ratio) <= max(ratio, 2**-16) * 2**-12 + 2**-56
    if threshold < NEVER:
        state = Sampling(threshold).write(None)
        assert Sampling.read(state).threshold == threshold


@pytest.mark.parametrize(
    ("member", "threshold", "randomness", "rest"),
    [
        ("th:8", 8 << 52, None, ()),
        ("rv:0123456789abcd;th:c8;x:1", 0xC8 << 48, 0x0123456789ABCD, ("x:1",)),
        ("th:", None, None, ()),
        ("th:123456789abcdef", None, None, ()),
        ("th:+8;rv:0x12345678901", None, None, ()),
        ("rv:12", None, None, ()),
        ("th:8" + ";x:" + "y" * 260, None, None, ()),
    ],
)
def test_malformed_fields_of_the_member_say_nothing(
    member: str, threshold: int | None, randomness: int | None, rest: tuple[str, ...]
) -> None:
    found = Sampling.read(TraceState([("ot", member)]))
    assert (found.threshold, found.randomness, found.rest) == (threshold, randomness, rest)


RATIO = [
    # trace id, parent's flags and state, sampled, state
    (LOW, None, "", False, ""),
    (HIGH, None, "", True, "ot=th:8"),
    (LOW, 3, "", False, ""),
    (HIGH, 0, "", True, "ot=th:8"),
    (HIGH, 3, "a=b,ot=th:c;x:1", True, "ot=th:8;x:1,a=b"),
    (LOW, 3, "a=b,ot=th:0", False, "a=b"),
    (LOW, 3, "a=b,ot=rv:ffffffffffffff", True, "ot=th:8;rv:ffffffffffffff,a=b"),
    (HIGH, 3, "ot=rv:00000000000000;th:0", False, "ot=rv:00000000000000"),
]


class OneId:
    """Makes one trace id, random as it says."""

    def __init__(self, trace_id: int) -> None:
        self.generate_trace_id = lambda: trace_id
        self.generate_span_id = lambda: 7

    def is_trace_id_random(self) -> bool:
        return True


@pytest.mark.parametrize("case", RATIO)
@pytest.mark.parametrize("how", ["native", "asked"])
def test_a_share_is_consistent_and_tells_its_threshold(case: Any, how: str) -> None:
    trace_id, flags, state, sampled, expected = case

    class Asked(TraceIdRatioBased):
        """No longer the class that the core knows."""

    sampler = (TraceIdRatioBased if how == "native" else Asked)(0.5)
    provider = TracerProvider(
        sampler=sampler,
        id_generator=OneId(trace_id),  # type: ignore[arg-type]
        shutdown_on_exit=False,
    )
    parent = None if flags is None else context(trace_id, flags=flags, state=state)
    span = provider.get_tracer("t").start_span("one", context=parent)
    assert span.is_recording() is sampled
    assert state_of(span) == expected


def test_missing_randomness_is_presumed_and_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers, "_presumed", set())
    for _ in range(2):
        assert start(TraceIdRatioBased(0.5), context(HIGH, flags=1)).is_recording()
        assert start(TraceIdRatioBased(0.5), context(HIGH, flags=3)).is_recording()
    assert ["random flag" in message for message in caplog.messages] == [True]


def test_a_threshold_reaches_children_and_exporters_but_no_unsampled_roots() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(0.5), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    states = set()
    for _ in range(50):
        with tracer.start_as_current_span("root") as root, tracer.start_as_current_span("child"):
            child = trace.get_current_span()
            states.add((root.is_recording(), state_of(root), state_of(child)))
    assert states == {(True, "ot=th:8", "ot=th:8"), (False, "", "")}
    assert {one.context.trace_state.to_header() for one in exporter.get_finished_spans()} == {
        "ot=th:8"
    }


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_share_is_between_none_and_all(rate: float) -> None:
    for make in (TraceIdRatioBased, composable.composable_traceid_ratio_based):
        with pytest.raises(ValueError, match="not from 0 to 1"):
            make(rate)


def test_never_and_always_are_shares() -> None:
    assert not start(TraceIdRatioBased(0), context(HIGH)).is_recording()
    assert start(TraceIdRatioBased(1), context(LOW)).is_recording()


def test_what_always_record_records_keeps_the_trace_state() -> None:
    span = start(AlwaysRecordSampler(ALWAYS_OFF), context(LOW, flags=2, state="a=b"))
    assert (span.is_recording(), state_of(span)) == (True, "a=b")
    assert not span.get_span_context().trace_flags.sampled


# Composable samplers

Make = Callable[[Any], Any]

COMPOSED: list[Make] = [
    lambda api: api.composable_always_on(),
    lambda api: api.composable_always_off(),
    lambda api: api.composable_traceid_ratio_based(0.5),
    lambda api: api.composable_traceid_ratio_based(0),
    lambda api: api.composable_parent_threshold(api.composable_always_on()),
    lambda api: api.composable_parent_threshold(api.composable_traceid_ratio_based(0.25)),
    lambda api: api.composable_rule_based(
        [
            (lambda **about: about["name"] == "other", api.composable_always_on()),
            (lambda **about: about["name"] == "one", api.composable_traceid_ratio_based(0.5)),
        ]
    ),
    lambda api: api.composable_rule_based([]),
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(COMPOSED),
    st.sampled_from([LOW, HIGH, NEVER // 2, NEVER // 2 - 1]),
    st.sampled_from(["", "a=b", "ot=th:8", "a=b,ot=th:0;x:1", "ot=rv:80000000000000", "ot=th:zz"]),
)
def test_decisions_are_those_of_the_official_experiment(
    make: Make, trace_id: int, state: str
) -> None:
    randomness = Sampling.read(TraceState.from_header([state])).randomness or trace_id % NEVER
    threshold = Sampling.read(TraceState.from_header([state])).threshold or 0
    # With a parent whose flag contradicts its threshold the two differ.
    flags = 3 if randomness >= threshold else 2
    parent = context(trace_id, flags=flags, state=state)
    inherited = TraceState.from_header([state]) if state else None
    mine = composable.composite_sampler(make(composable))
    theirs = official.composite_sampler(make(official))
    found = mine.should_sample(parent, trace_id, "one", trace_state=inherited)
    expected = theirs.should_sample(parent, trace_id, "one", trace_state=inherited)
    assert found.decision.value == expected.decision.value
    written = [(one.trace_state or TraceState()).to_header() for one in (found, expected)]
    # The official sampler leaves behind what it should have erased, when it has nothing to say.
    assert written[0] == written[1] or written[0] == Sampling().write(inherited).to_header()  # type: ignore[union-attr]
    assert mine.get_description() == theirs.get_description() or "lambda" in mine.get_description()


def test_the_private_official_names_are_the_same_things() -> None:
    for name in official.__all__:
        assert getattr(_sampling_experimental, name) is getattr(composable, name)
    program = (
        "import heliograph.sdk; heliograph.sdk.install_aliases(replace=True)\n"
        "import opentelemetry.sdk.trace._sampling_experimental as alias\n"
        "import heliograph.sdk.trace._sampling_experimental as ours\n"
        "import opentelemetry.sdk.trace._sampling_experimental._rule_based as rules\n"
        "assert alias is ours and rules.AllPredicate.__module__.startswith('heliograph')\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_a_contradictory_threshold_is_erased() -> None:
    sampler = composable.composite_sampler(
        composable.composable_parent_threshold(composable.composable_always_off())
    )
    assert state_of(start(sampler, context(LOW, state="ot=th:8"))) == ""
    assert state_of(start(sampler, context(HIGH, state="ot=th:8"))) == "ot=th:8"
    dropped = start(sampler, context(HIGH, flags=2, state="ot=th:8"))
    assert (dropped.is_recording(), state_of(dropped)) == (False, "")


def test_intents_add_attributes_and_change_the_trace_state() -> None:
    class Changing:
        def sampling_intent(self, *args: Any, **kwargs: Any) -> composable.SamplingIntent:
            return composable.SamplingIntent(
                0, update_trace_state=lambda state: state.add("mine", "1")
            )

        def get_description(self) -> str:
            return "Changing"

    annotated = composable.composable_annotating(Changing(), {"rule": "x"})
    span = start(composable.composite_sampler(annotated), attributes={"own": 1})
    assert isinstance(span, ReadableSpan)
    assert (state_of(span), dict(span.attributes or {})) == (
        "ot=th:0,mine=1",
        {"own": 1, "rule": "x"},
    )


RULES: list[tuple[Any, dict[str, Any], bool]] = [
    (composable.AlwaysMatchPredicate(), {}, True),
    (composable.AttributeValuesPredicate("k", ["1", "b"]), {"attributes": {"k": 1}}, True),
    (composable.AttributeValuesPredicate("k", ["b"]), {"attributes": {"k": ["a", "b"]}}, True),
    (composable.AttributeValuesPredicate("k", ["b"]), {}, False),
    (composable.AttributePatternsPredicate("k", ["/a*"]), {"attributes": {"k": "/ab"}}, True),
    (composable.AttributePatternsPredicate("k", None, ["/a*"]), {"attributes": {"k": "/a"}}, False),
    (composable.AttributePatternsPredicate("k", None, ["/a*"]), {"attributes": {"k": "b"}}, True),
    (composable.SpanKindPredicate([SpanKind.SERVER]), {"kind": SpanKind.SERVER}, True),
    (composable.SpanKindPredicate([SpanKind.SERVER]), {"kind": SpanKind.CLIENT}, False),
    (composable.ParentPredicate(["none"]), {}, True),
    (composable.ParentPredicate(["remote"]), {"parent": context(LOW)}, True),
    (composable.ParentPredicate(["local"]), {"parent": context(LOW)}, False),
    (composable.ParentPredicate(["local"]), {"parent": context(LOW, remote=False)}, True),
    (
        composable.AllPredicate(
            [composable.AlwaysMatchPredicate(), composable.SpanKindPredicate([])]
        ),
        {},
        False,
    ),
]


@pytest.mark.parametrize(("predicate", "span", "holds"), RULES)
def test_rules(predicate: Any, span: dict[str, Any], holds: bool) -> None:
    rules = composable.composable_rule_based([(predicate, composable.composable_always_on())])
    assert start(composable.composite_sampler(rules), **span).is_recording() is holds


# Jaeger


class Strategies(HTTPServer):
    """Answers with ``strategy``; None is an error."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.strategy: Any = None
        self.asked: list[str] = []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Strategies

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(503 if self.server.strategy is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.strategy).encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def jaeger() -> Iterator[Strategies]:
    server = Strategies()
    yield server
    server.shutdown()
    server.thread.join()
    server.server_close()


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not become true"
        time.sleep(0.005)


def share(rate: float) -> dict[str, Any]:
    return {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": rate}}


def test_strategies_are_followed_while_they_change(
    jaeger: Strategies, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = JaegerRemoteSampler("my service", jaeger.address, 10, ALWAYS_ON)
    try:
        until(lambda: len(jaeger.asked) > 2)
        assert start(sampler).is_recording()
        jaeger.strategy = share(0)
        until(lambda: not start(sampler).is_recording())
        jaeger.strategy = share(1)
        until(lambda: start(sampler).is_recording())
        assert state_of(start(sampler)) == "ot=th:0"
        jaeger.strategy = {"nothing": "known"}
        asked = len(jaeger.asked)
        until(lambda: len(jaeger.asked) > asked + 1)
        assert start(sampler).is_recording()
    finally:
        sampler.shutdown()
    assert jaeger.asked[0] == "/sampling?service=my+service"
    # Said once for each time it begins to fail.
    assert [message.split(":")[0] for message in caplog.messages] == [
        "no sampling strategies from http"
    ] * 2


def test_the_service_is_that_of_the_providers_resource(jaeger: Strategies) -> None:
    jaeger.strategy = share(1)
    sampler = JaegerRemoteSampler(endpoint=jaeger.address, polling_interval_ms=10)
    named = JaegerRemoteSampler("named", jaeger.address, 10)
    resource = Resource({"service.name": "the shop"})
    providers = [
        TracerProvider(ParentBased(one), resource, shutdown_on_exit=False)
        for one in (sampler, named)
    ]
    try:
        until(lambda: len(set(jaeger.asked)) == 2)
    finally:
        sampler.shutdown()
        named.shutdown()
    assert len(providers) == 2
    asked = {"/sampling?service=named", "/sampling?service=the+shop"}
    assert set(jaeger.asked) == asked


def test_the_thread_ends_with_the_sampler(jaeger: Strategies) -> None:
    jaeger.strategy = share(1)
    sampler = JaegerRemoteSampler("one", jaeger.address, 10)

    def threads() -> list[str]:
        return [one.name for one in threading.enumerate() if "jaeger" in one.name]

    assert threads()
    del sampler
    until(lambda: not threads())


def test_operations_have_shares_and_a_lower_bound() -> None:
    sampler = sampler_of(
        {
            "operationSampling": {
                "defaultSamplingProbability": 0,
                "defaultLowerBoundTracesPerSecond": 0.001,
                "perOperationStrategies": [
                    {"operation": "much", "probabilisticSampling": {"samplingRate": 1}}
                ],
            }
        }
    )

    def decide(name: str) -> bool:
        return sampler.should_sample(None, LOW, name).decision.is_sampled()

    assert [decide(name) for name in ("much", "much", "seldom", "seldom", "else")] == [
        True,
        True,
        True,
        False,
        True,
    ]


def test_a_rate_is_kept() -> None:
    sampler = RateLimited(2)
    now = sampler._at
    assert [sampler.allows(now) for _ in range(3)] == [True, True, False]
    assert [sampler.allows(now + 0.5) for _ in range(2)] == [True, False]
    limited: Sampler = sampler_of(
        {"strategyType": "RATE_LIMITING", "rateLimitingSampling": {"maxTracesPerSecond": 0}}
    )
    assert not start(limited).is_recording()


CHILD = """
import os, sys, time
from heliograph.sdk.trace import TracerProvider
provider = TracerProvider()
tracer = provider.get_tracer("t")

def until_sampled():
    end = time.monotonic() + 10
    while not tracer.start_span("one").is_recording():
        if time.monotonic() > end:
            os._exit(1)
        time.sleep(0.005)

if FIRST:
    until_sampled()
child = os.fork()
if child == 0:
    until_sampled()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(provider.sampler.get_description())
"""


@pytest.mark.parametrize("first", [True, False])
def test_variables_choose_it_and_a_forked_child_asks_itself(
    jaeger: Strategies, first: bool
) -> None:
    jaeger.strategy = share(1)
    argument = f"endpoint={jaeger.address},pollingIntervalMs=20,initialSamplingRate=0"
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"FIRST = {first}\n{CHILD}"],
        env={
            **os.environ,
            "OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote",
            "OTEL_TRACES_SAMPLER_ARG": argument,
            "OTEL_SERVICE_NAME": "forked",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"ParentBased{{root:JaegerRemoteSampler{{{jaeger.address}")
    assert set(jaeger.asked) == {"/sampling?service=forked"}
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "argument",
    ["endpoint", "pollingIntervalMs=soon", "initialSamplingRate=2", "pollingIntervalMs=0"],
)
def test_a_wrong_argument_is_told(
    argument: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "jaeger_remote")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    sampler: Any = TracerProvider(shutdown_on_exit=False).sampler
    sampler.shutdown()
    assert f"OTEL_TRACES_SAMPLER_ARG is {argument!r}, no argument" in caplog.text
    assert ParentBased(sampler).get_description()
