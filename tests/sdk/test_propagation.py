"""Propagators: the same as the API's where they say the same, and chosen by `OTEL_PROPAGATORS`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators._envcarrier import EnvironmentGetter as OfficialGetter
from opentelemetry.propagators._envcarrier import EnvironmentSetter as OfficialSetter
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import DefaultGetter, DefaultSetter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from heliograph.sdk.propagators import PropagatorError, configure, from_names
from heliograph.sdk.propagators.b3 import B3MultiFormat, B3SingleFormat
from heliograph.sdk.propagators.environment import EnvironmentGetter, EnvironmentSetter
from heliograph.sdk.propagators.w3c import W3CPropagator
from heliograph.sdk.trace import TracerProvider

OURS = W3CPropagator()
THEIRS = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Getter(DefaultGetter):
    """Another one than the default."""


class Setter(DefaultSetter):
    """Another one than the default."""


def seen(context: Any) -> Any:
    span = trace.get_current_span(context).get_span_context()
    return (*span[:4], dict(span.trace_state), span.is_valid, dict(baggage.get_all(context)))


def edited(well_formed: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Well-formed headers, and such with something in them that does not belong there."""
    junk = st.text(alphabet='-=,;% \t\n\x1c0aA+@/é\u00a0\U0001f600"\\', max_size=3)
    spliced = st.tuples(well_formed, st.integers(0, 60), junk, st.integers(0, 2)).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + t[3] :]
    )
    return st.one_of(well_formed, spliced, st.text(max_size=60))


HEX = "0123456789abcdef"


def digits(count: int) -> st.SearchStrategy[str]:
    return st.one_of(
        st.just("0" * count), st.just("f" * count), st.text(HEX, min_size=count, max_size=count)
    )


PARENTS = edited(
    st.tuples(
        st.sampled_from(["00", "00", "01", "cc", "ff"]), digits(32), digits(16), digits(2)
    ).map("-".join)
)
STATE_KEYS = st.sampled_from(["a", "rojo", "1a@b", "a@b", "a*/-_", "A", "@a", "a@", "z" * 257])
STATE_VALUES = st.sampled_from(["1", "t61rcWkgMzE", "a b", "a ", " a", "", "v" * 256, "v" * 257])
STATES = edited(
    st.lists(st.tuples(STATE_KEYS, STATE_VALUES).map("=".join), max_size=4).map(",".join)
)
BAGGAGES = edited(
    st.lists(
        st.tuples(
            st.sampled_from(["k", "key%20x", "%C3%BC", "a+b", "k\t", " k", "k k", ""]),
            st.sampled_from(["", "=v", "=", "=%ff%zz%", "= v ;p", "=v;p=1;q = 2", "=v;=", "=a+b"]),
        ).map("".join),
        max_size=4,
    ).map(",".join)
)


@pytest.mark.official
@settings(max_examples=500, deadline=None)
@given(
    st.fixed_dictionaries(
        {}, optional={"traceparent": PARENTS, "tracestate": STATES, "baggage": BAGGAGES}
    ),
    st.booleans(),
)
@example({"traceparent": PARENT + "\n", "baggage": "\x1ck=%1cv%1c"}, True)
@example({"traceparent": PARENT, "tracestate": "a=1," + "x" * 8192}, True)
@example({"traceparent": f"\t {PARENT} \t"}, True)
@example({"traceparent": "01" + PARENT[2:] + "-é"}, False)
@example({"baggage": ",".join(f"k{n}=v" for n in range(200))}, True)
@example({"baggage": "k=" + "v" * 4095 + ",l=1," + "m=" + "v" * 4000}, True)
@example({"baggage": "k=" + "v" * 8191}, True)
def test_extracted_is_what_the_api_extracts(headers: dict[str, str], by_default: bool) -> None:
    more: Any = {} if by_default else {"getter": Getter()}
    lists: Mapping[str, Any] = headers if by_default else {k: [v] for k, v in headers.items()}
    for base in (None, Context({"kept": 1}), baggage.set_baggage("k", "old", Context())):
        found = OURS.extract(lists, base, **more)
        assert seen(found) == seen(THEIRS.extract(headers, base))
        assert type(found) is Context
        assert base is None or all(found[key] == base[key] for key in base if key == "kept")


def test_several_headers_of_a_trace_state_are_one() -> None:
    headers = {"traceparent": [PARENT], "tracestate": ["a=1, b=2", "c=3"]}
    assert seen(OURS.extract(headers)) == seen(THEIRS.extract(headers))
    assert seen(OURS.extract(headers))[4] == {"a": "1", "b": "2", "c": "3"}


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SPANS = st.builds(
    trace.SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.integers(0, 255).map(trace.TraceFlags),
    st.sampled_from([None, trace.TraceState(), trace.TraceState([("a", "1"), ("b@c", "x y")])]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.none() | SPANS,
    st.dictionaries(TEXT, TEXT | st.integers() | st.just("v" * 5000), max_size=4),
    st.booleans(),
)
@example(None, {f"key {n}": "v" for n in range(200)}, True)
@example(None, {f"k{n}": "v" * 2000 for n in range(9)}, True)
def test_injected_is_what_the_api_injects(
    span: trace.SpanContext | None, entries: dict[str, Any], by_default: bool
) -> None:
    context = Context()
    if span is not None:
        context = trace.set_span_in_context(trace.NonRecordingSpan(span), context)
    for key, value in entries.items():
        context = baggage.set_baggage(key, value, context)
    mine: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    OURS.inject(mine, context, **({} if by_default else {"setter": Setter()}))
    THEIRS.inject(theirs, context)
    if "baggage" in mine and " " not in "".join(map(str, [*entries, *entries.values()])):
        assert mine == theirs
    # A space is no plus sign in other languages.
    if len(entries) < 5 and "baggage" in mine:
        mine["baggage"] = mine["baggage"].replace("%20", "+")
        assert mine == theirs
    assert {**mine, "baggage": ""} == {**theirs, "baggage": ""}


def test_what_was_recorded_here_is_injected_and_comes_back() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    carrier: dict[str, str] = {}
    with tracer.start_as_current_span("one") as span:
        OURS.inject(carrier)
    here = span.get_span_context()
    found = trace.get_current_span(OURS.extract(carrier))
    there = found.get_span_context()
    assert (there.trace_id, there.span_id, there.trace_flags) == (here[0], here[1], here[3])
    assert there.is_remote
    assert isinstance(found, trace.NonRecordingSpan)
    assert not found.is_recording()
    with tracer.start_as_current_span("two", context=OURS.extract(carrier)) as child:
        assert child.get_span_context().trace_id == here.trace_id


def test_no_baggage_breaks_a_request(caplog: pytest.LogCaptureFixture) -> None:
    class Mute:
        def __str__(self) -> str:
            return "mute"

    context = baggage.set_baggage("lone \ud800", Mute(), Context())
    carrier: dict[str, str] = {}
    OURS.inject(carrier, baggage.set_baggage("long", "x" * 9000, context))
    assert carrier == {"baggage": "lone%20%3F=mute"}
    assert seen(OURS.extract({"traceparent": b"x", "baggage": 5})) == seen(Context())


def test_parts_are_left_out() -> None:
    headers = {"traceparent": PARENT, "baggage": "k=v"}
    only_trace, only_baggage = W3CPropagator(baggage=False), W3CPropagator(trace=False)
    assert seen(only_trace.extract(headers))[-2:] == (True, {})
    assert seen(only_baggage.extract(headers, Context()))[-2:] == (False, {"k": "v"})
    carrier: dict[str, str] = {}
    only_baggage.inject(carrier, OURS.extract(headers))
    assert carrier == {"baggage": "k=v"}
    assert (only_trace.fields, only_baggage.fields) == ({"traceparent", "tracestate"}, {"baggage"})
    assert OURS.fields == THEIRS.fields


# B3

A, B = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"b3": f"{A}-{B}-1"}, (A, B, 1)),
        ({"b3": f"{A}-{B}-0-05e3ac9a4f6e3b90"}, (A, B, 0)),
        ({"b3": f"{A}-{B}-d"}, (A, B, 1)),
        ({"b3": f"{A}-{B}"}, (A, B, 1)),
        ({"b3": f"{A[16:]}-{B}-1"}, (A[16:], B, 1)),
        ({"b3": "0"}, None),
        ({"b3": f"{A}-{B}-1-x-y"}, None),
        ({"b3": f"{A[1:]}-{B}-1"}, None),
        ({"b3": f"{'0' * 32}-{B}-1"}, None),
        ({"b3": "junk", "x-b3-traceid": A, "x-b3-spanid": B, "x-b3-sampled": "1"}, (A, B, 1)),
        ({"x-b3-traceid": A.upper(), "x-b3-spanid": B, "x-b3-sampled": "true"}, (A, B, 1)),
        ({"x-b3-traceid": A, "x-b3-spanid": B, "x-b3-flags": "1"}, (A, B, 1)),
        ({"x-b3-traceid": A, "x-b3-spanid": B}, (A, B, 0)),
        ({"x-b3-traceid": A}, None),
        ({}, None),
    ],
)
def test_b3_is_extracted_from_either_form(headers: dict[str, str], expected: Any) -> None:
    for propagator in (B3SingleFormat(), B3MultiFormat()):
        found = trace.get_current_span(propagator.extract(headers)).get_span_context()
        if expected is None:
            assert not found.is_valid
        else:
            trace_id, span_id, flags = expected
            assert found[:4] == (int(trace_id, 16), int(span_id, 16), True, flags)


@pytest.mark.parametrize("flags", [0, 1, 3])
def test_b3_is_injected(flags: int) -> None:
    span = trace.SpanContext(int(A, 16), int(B, 16), False, trace.TraceFlags(flags))
    context = trace.set_span_in_context(trace.NonRecordingSpan(span))
    carriers: list[dict[str, str]] = [{}, {}]
    for propagator, carrier in zip((B3SingleFormat(), B3MultiFormat()), carriers, strict=True):
        propagator.inject(carrier, context)
        assert set(carrier) == propagator.fields
        propagator.inject(carrier, Context())
    sampled = str(flags & 1)
    assert carriers == [
        {"b3": f"{A}-{B}-{sampled}"},
        {"x-b3-traceid": A, "x-b3-spanid": B, "x-b3-sampled": sampled},
    ]


# Environment


@pytest.mark.parametrize("key", ["traceparent", "x-b3-traceid", "1st", "", "ümlaut", "A_b"])
def test_variables_are_named_as_specified(key: str) -> None:
    carrier, official = {}, {}  # type: dict[str, str], dict[str, str]
    EnvironmentSetter().set(carrier, key, "v")
    OfficialSetter().set(official, key, "v")
    assert carrier == official
    assert EnvironmentGetter().get(carrier, key) == ["v"] == OfficialGetter().get(official, key)
    assert EnvironmentGetter().get({}, key) is None
    mixed = {**carrier, "lower": "1", "1X": "2", "": "3"}
    assert EnvironmentGetter().keys(mixed) == OfficialGetter().keys(mixed)


def test_a_child_process_takes_up_the_context_from_its_variables() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    env = dict(os.environ)
    with tracer.start_as_current_span("one") as span:
        OURS.inject(env, setter=EnvironmentSetter())
    program = """
import os
from opentelemetry import propagate, trace
from heliograph.sdk.propagators.environment import EnvironmentGetter
context = propagate.extract(os.environ, getter=EnvironmentGetter())
print(trace.get_current_span(context).get_span_context().trace_id)
"""
    found = python(program, env)
    assert (found.returncode, found.stdout.strip()) == (0, str(span.get_span_context().trace_id))


# OTEL_PROPAGATORS


def python(program: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (None, {"traceparent", "tracestate", "baggage"}),
        ("", {"traceparent", "tracestate", "baggage"}),
        (" Baggage , TraceContext,baggage", {"traceparent", "tracestate", "baggage"}),
        ("tracecontext", {"traceparent", "tracestate"}),
        ("b3", {"b3"}),
        ("b3multi,baggage", {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "baggage"}),
        ("tracecontext,none", set()),
    ],
)
def test_the_variable_chooses(
    names: str | None, fields: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = propagate.get_global_textmap()
    monkeypatch.delenv("OTEL_PROPAGATORS", raising=False)
    if names is not None:
        monkeypatch.setenv("OTEL_PROPAGATORS", names)
    try:
        made = configure()
        assert propagate.get_global_textmap() is made
        assert made.fields == fields
    finally:
        propagate.set_global_textmap(before)


def test_both_w3c_formats_are_one_native_propagator() -> None:
    assert type(from_names(["tracecontext", "baggage"])) is W3CPropagator


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jaeger", "jaeger needs a package: pip install opentelemetry-propagator-jaeger"),
        ("xray", "xray needs a package: pip install opentelemetry-propagator-aws-xray"),
        ("ottrace", "ottrace needs a package: pip install opentelemetry-propagator-ot-trace"),
        (
            "tracecontex",
            "there is no propagator 'tracecontex'; known are tracecontext, baggage, b3",
        ),
    ],
)
def test_what_is_missing_is_told_in_one_line(name: str, message: str) -> None:
    program = """
import sys
from heliograph.sdk.propagators import PropagatorError, configure
try:
    configure()
except PropagatorError as error:
    sys.exit(str(error))
"""
    found = python(program, {**os.environ, "OTEL_PROPAGATORS": f"tracecontext,{name}"})
    assert found.returncode == 1
    assert found.stderr.startswith(f"OTEL_PROPAGATORS: {message}")
    assert found.stderr.count("\n") == 1


def test_packages_that_are_installed_are_taken(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "others.py").write_text(
        "from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator\n"
        "class Other(TraceContextTextMapPropagator): pass\n"
        "def broken(): raise OSError('no disk')\n"
    )
    info = tmp_path / "others-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: others\nVersion: 1\n")
    points = "jaeger = others:Other\nbroken = others:broken\nnone-at-all = os:getcwd\n"
    (info / "entry_points.txt").write_text(f"[opentelemetry_propagator]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    assert type(from_names(["jaeger"])).__name__ == "Other"
    with pytest.raises(PropagatorError, match="broken cannot be loaded: no disk"):
        from_names(["broken"])
    with pytest.raises(PropagatorError, match="none-at-all is str, no propagator"):
        from_names(["none-at-all"])


def test_b3_has_its_official_name_where_its_package_is_not() -> None:
    program = """
import heliograph.sdk
heliograph.sdk.install_aliases()
import opentelemetry.propagators.textmap
import opentelemetry.propagators.b3 as alias, opentelemetry.processor.baggage as processor
import heliograph.sdk.propagators.b3, heliograph.sdk.processor.baggage
assert alias is heliograph.sdk.propagators.b3
assert processor is heliograph.sdk.processor.baggage
try:
    import opentelemetry.propagators.jaeger
except ModuleNotFoundError:
    print("none")
"""
    found = python(program, {**os.environ, "OTEL_PROPAGATORS": "b3,baggage"})
    assert (found.returncode, found.stdout, found.stderr) == (0, "none\n", "")
