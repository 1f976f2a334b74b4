"""A small shop that sells things for ever and tells OpenTelemetry about it.

It uses the official SDK and sends OTLP over gRPC to OTEL_EXPORTER_OTLP_ENDPOINT
(http://localhost:4317 when not set), as any program would.
"""

import logging
import random
import signal
import threading

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

resource = Resource.create({"service.name": "demo-shop"})

traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1000))
trace.set_tracer_provider(traces)

reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=2000)
meters = MeterProvider(resource=resource, metric_readers=[reader])
metrics.set_meter_provider(meters)

logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(
    BatchLogRecordProcessor(OTLPLogExporter(), schedule_delay_millis=1000)
)
set_logger_provider(logs)

log = logging.getLogger("shop")
log.setLevel(logging.INFO)
log.addHandler(LoggingHandler(logger_provider=logs))

tracer = trace.get_tracer("demo-shop")
meter = metrics.get_meter("demo-shop")
orders = meter.create_counter("shop.orders", description="Orders taken.", unit="{order}")
took = meter.create_histogram("shop.checkout.duration", description="Time to check out.", unit="s")

done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
signal.signal(signal.SIGINT, lambda *_: done.set())

while not done.wait(0.2):
    item = random.choice(["lamp", "mirror", "tripod"])
    seconds = random.expovariate(20)
    with tracer.start_as_current_span("checkout", attributes={"shop.item": item}) as span:
        with tracer.start_as_current_span("charge card"):
            done.wait(seconds)
        if random.random() < 0.05:
            span.set_status(trace.StatusCode.ERROR, "card declined")
            log.warning("card declined for a %s", item)
        else:
            orders.add(1, {"shop.item": item})
            log.info("sold a %s", item)
        took.record(seconds, {"shop.item": item})

for provider in (traces, meters, logs):
    provider.shutdown()
