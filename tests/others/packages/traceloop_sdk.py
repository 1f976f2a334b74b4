"""Traceloop: it replaces methods of a processor of ours, and changes spans that have ended."""

import os

from opentelemetry import trace
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import task, workflow

import heliograph.sdk.trace


def redact(span):
    span._attributes["secret"] = "***"


Traceloop.init(
    "shop",
    api_endpoint=os.environ["ENDPOINT"],
    api_key="key",
    telemetry_enabled=False,
    instruments=set(),
    span_postprocess_callback=redact,
)
assert isinstance(trace.get_tracer_provider(), heliograph.sdk.trace.TracerProvider)


@task("charge")
def charge(amount):
    trace.get_current_span().set_attribute("secret", "4711")
    return amount


@workflow("pay")
def pay(amount):
    return charge(amount)


pay(3)
assert trace.get_tracer_provider().force_flush()
