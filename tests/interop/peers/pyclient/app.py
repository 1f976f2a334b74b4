"""A program with the official SDK: a trace of two spans, five kinds of metric, a log record.

``python app.py grpc|http``; where it sends to comes from OTEL_EXPORTER_OTLP_ENDPOINT. It prints
its trace id.
"""

import logging
import sys

from opentelemetry import metrics, trace
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if sys.argv[1] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter


def main() -> None:
    traces = TracerProvider()
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(traces)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    native = View(instrument_name="py.native", aggregation=ExponentialBucketHistogramAggregation())
    metrics.set_meter_provider(MeterProvider([reader], views=[native]))
    logs = LoggerProvider()
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    logger = logging.getLogger("pyclient")
    logger.addHandler(LoggingHandler(logger_provider=logs))

    meter = metrics.get_meter("pyclient")
    requests = meter.create_counter("py.requests", unit="{request}", description="Served.")
    inflight = meter.create_up_down_counter("py.inflight")
    duration = meter.create_histogram("py.duration", unit="s")
    size = meter.create_histogram("py.native", unit="By")
    temperature = meter.create_gauge("py.temperature", unit="Cel")
    tracer = trace.get_tracer("pyclient")
    with (
        tracer.start_as_current_span("py parent") as parent,
        tracer.start_as_current_span("py child", attributes={"answer": 42, "list": ["a", "b"]}),
    ):
        requests.add(7, {"route": "/py"})
        inflight.add(-3)
        duration.record(0.25, {"route": "/py"})
        for value in (1, 1024, 1024):
            size.record(value)
        temperature.set(21.5)
        logger.warning("served from python", extra={"route": "/py"})
    traces.shutdown()
    metrics.get_meter_provider().shutdown()
    logs.shutdown()
    print(f"{parent.get_span_context().trace_id:032x}")


main()
