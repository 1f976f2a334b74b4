import os

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

target = os.environ["TARGET"]
trace.set_tracer_provider(TracerProvider())
provider = trace.get_tracer_provider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=target)))
reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=target))
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))

with trace.get_tracer("tutorial").start_as_current_span("step"):
    metrics.get_meter("tutorial").create_counter("steps").add(1)
print(type(provider).__module__)
