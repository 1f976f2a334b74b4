"""sentry-sdk's OTLP integration: it makes our provider, and takes exceptions from our spans."""

import os

import sentry_sdk
from opentelemetry import trace
from sentry_sdk.integrations.otlp import OTLPIntegration

import heliograph.sdk.trace

sentry_sdk.init(
    os.environ["ENDPOINT"].replace("//", "//key@") + "/1",
    integrations=[OTLPIntegration(capture_exceptions=True)],
)
assert type(trace.get_tracer_provider()) is heliograph.sdk.trace.TracerProvider
try:
    with trace.get_tracer("shop").start_as_current_span("pay") as span:
        span.record_exception(RuntimeError("no answer"))
        raise ValueError("no money")
except ValueError:
    pass
assert trace.get_tracer_provider().force_flush()
sentry_sdk.flush()
