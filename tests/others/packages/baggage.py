"""The baggage processor of contrib, on our provider: what is in baggage is on the span."""

import os

from opentelemetry import baggage, context
from opentelemetry.processor.baggage import ALLOW_ALL_BAGGAGE_KEYS, BaggageSpanProcessor

from heliograph.sdk.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor

assert not BaggageSpanProcessor.__module__.startswith("heliograph.")
provider = TracerProvider()
provider.add_span_processor(BaggageSpanProcessor(ALLOW_ALL_BAGGAGE_KEYS))
exporter = OTLPSpanExporter(f"{os.environ['ENDPOINT']}/v1/traces")
provider.add_span_processor(BatchSpanProcessor(exporter))
context.attach(baggage.set_baggage("tenant", "seven"))
provider.get_tracer("shop").start_span("pay").end()
assert provider.force_flush()
