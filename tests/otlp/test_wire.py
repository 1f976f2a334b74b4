"""A batch counts and shows what protobuf's own classes read from the same bytes."""

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import REQUESTS, damaged, encodings, request, signals

from heliograph.errors import WireError
from heliograph.otlp import Batch, Context, Signal


def points(metric: Any) -> list[Any]:
    data = metric.WhichOneof("data")
    return list(getattr(metric, data).data_points) if data else []


def items(signal: Signal, message: Any) -> list[Any]:
    """Spans, points or log records in order."""
    match signal:
        case Signal.TRACES:
            return [x for r in message.resource_spans for s in r.scope_spans for x in s.spans]
        case Signal.LOGS:
            return [x for r in message.resource_logs for s in r.scope_logs for x in s.log_records]
    scopes = [s for r in message.resource_metrics for s in r.scope_metrics]
    return [x for scope in scopes for metric in scope.metrics for x in points(metric)]


def parsed(signal: Signal, data: bytes) -> Any:
    return REQUESTS[signal].FromString(data)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_counts_what_protobuf_reads(data: Any) -> None:
    signal = data.draw(signals())
    wire = data.draw(encodings(signal))
    batch = Batch(signal, wire)
    assert batch.items == len(items(signal, parsed(signal, wire)))
    assert bytes(batch.wire()) == wire
    assert batch.nbytes == len(wire)


def attempt(signal: Signal, wire: bytes) -> tuple[Batch | None, Any]:
    try:
        return Batch(signal, wire), None
    except WireError as error:
        return None, error


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_damage_is_an_error_or_what_protobuf_reads(data: Any) -> None:
    signal = data.draw(signals())
    wire = data.draw(damaged(signal))
    batch, error = attempt(signal, wire)
    if batch is None:
        assert 0 <= error.offset <= len(wire)
        if "wrong wire type" not in str(error):
            with pytest.raises(DecodeError):
                parsed(signal, wire)
        return
    try:
        expected = parsed(signal, wire)
    except DecodeError:
        return  # what is wrong lies deeper than the door looks
    assert batch.items == len(items(signal, expected))


def test_malformed_bytes_are_refused_with_their_offset() -> None:
    span = b"\x12\x03\x08\x01\x00"
    for signal, wire, offset in [
        (Signal.TRACES, b"\x0a\x05", 0),
        (Signal.TRACES, b"\x0a\x02\x12\x80", 3),
        (Signal.LOGS, b"\x08\x01", 0),
        (Signal.METRICS, b"\x0a\x02\x1a\xff", 3),
        (Signal.TRACES, b"\x0a\x07\x12\x05" + span, 6),
        (Signal.PROFILES, b"\x0a\x05a", 0),
    ]:
        with pytest.raises(WireError) as raised:
            Batch(signal, wire)
        assert raised.value.offset == offset, wire


def test_a_string_at_the_door_has_to_be_utf8() -> None:
    wire = b"\x0a\x07\x12\x05\x12\x03\x2a\x01\xff"
    with pytest.raises(WireError, match="UTF-8") as raised:
        Batch(Signal.TRACES, wire)
    assert raised.value.offset == 8


def test_wire_is_read_only_and_outlives_the_batch() -> None:
    wire = request(Signal.LOGS, 5).SerializeToString()
    view = Batch(Signal.LOGS, bytearray(wire)).wire()
    assert view.readonly
    assert view == wire
    assert memoryview(Batch(Signal.LOGS, wire)).nbytes == len(wire)


def test_context_is_kept_and_exchanged() -> None:
    context = Context({"X-Tenant": ["a", "b"]}, "10.0.0.1:9", {"sub": "me"}, deadline=12.5)
    assert context.metadata == {"x-tenant": ("a", "b")}
    assert (context.peer, context.auth, context.deadline) == ("10.0.0.1:9", {"sub": "me"}, 12.5)
    batch = Batch(Signal.TRACES, b"", context)
    assert batch.context == context
    assert batch.with_context(Context()).context == Context() != context
    with pytest.raises(ValueError, match="deadline"):
        Context(deadline=float("nan"))


def test_polars_is_loaded_by_the_first_frame_only() -> None:
    code = (
        "import sys; from heliograph.otlp import Batch, Signal; b = Batch(Signal.TRACES, b'');"
        "assert 'polars' not in sys.modules; b.frame('name'); assert 'polars' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
