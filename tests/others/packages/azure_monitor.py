"""The Azure Monitor exporter, given to our processors: a span, a log record and a metric."""

import logging
import os

from azure.monitor.opentelemetry.exporter import (
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry import trace

from heliograph.sdk.logs import LoggerProvider, LoggingHandler
from heliograph.sdk.logs.export import BatchLogRecordProcessor
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import PeriodicExportingMetricReader
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor

KEY = "InstrumentationKey=00000000-0000-0000-0000-000000000001"
where = {
    "connection_string": f"{KEY};IngestionEndpoint={os.environ['ENDPOINT']}/",
    "disable_offline_storage": True,
}
traces, logs = TracerProvider(), LoggerProvider()
trace.set_tracer_provider(traces)
traces.add_span_processor(BatchSpanProcessor(AzureMonitorTraceExporter(**where)))
logs.add_log_record_processor(BatchLogRecordProcessor(AzureMonitorLogExporter(**where)))
metrics = MeterProvider([PeriodicExportingMetricReader(AzureMonitorMetricExporter(**where))])
logger = logging.getLogger("shop")
logger.addHandler(LoggingHandler(logger_provider=logs))

with traces.get_tracer("shop").start_as_current_span("pay") as span:
    span.set_attribute("amount", 3)
    span.add_event("paid", {"with": "card"})
    logger.warning("paid %d", 3)
metrics.get_meter("shop").create_counter("payments").add(1, {"with": "card"})
assert traces.force_flush()
assert logs.force_flush()
assert metrics.force_flush()
