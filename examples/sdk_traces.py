"""A program that is traced: it pays ten orders, one of which fails, and ends.

Sends OTLP over gRPC to OTEL_EXPORTER_OTLP_ENDPOINT, http://localhost:4317 when that is not set, and
shows its spans on the console.
"""

from opentelemetry import trace

from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    span_text,
)

provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=span_text)))
trace.set_tracer_provider(provider)

tracer = trace.get_tracer("shop")


def charge(amount: int) -> None:
    if amount > 90:
        raise ValueError("the card has no cover")


def pay(order: int, amount: int) -> None:
    with tracer.start_as_current_span("pay", attributes={"order": order, "amount": amount}) as span:
        span.add_event("checked")
        # The exception that leaves it becomes an event, and the status an error.
        with tracer.start_as_current_span("charge card", kind=trace.SpanKind.CLIENT):
            charge(amount)


for number in range(10):
    try:
        pay(number, 10 * (number + 1))
    except ValueError as error:
        print(f"order {number}: {error}")
# What waits is sent when the program ends.
