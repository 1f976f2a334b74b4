"""A program that logs: through `logging`, inside a span and outside, and an event.

Sends OTLP as JSON over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT, http://localhost:4318 when that is not
set. What it prints carries the same trace ids.
"""

import logging

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber, get_logger, set_logger_provider

from heliograph.sdk.exporter.otlp.json.http._log_exporter import OTLPLogExporter
from heliograph.sdk.logs import LoggerProvider, LoggingHandler
from heliograph.sdk.logs.correlation import correlate_logging
from heliograph.sdk.logs.export import BatchLogRecordProcessor
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import TracerProvider

resource = Resource.create({"service.name": "shop"})
trace.set_tracer_provider(TracerProvider(resource=resource))
provider = LoggerProvider(resource)
provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
set_logger_provider(provider)

correlate_logging("%(levelname)s trace_id=%(otelTraceID)s %(message)s")
logging.getLogger().addHandler(LoggingHandler())
log = logging.getLogger("shop")

log.info("opens")
with trace.get_tracer("shop").start_as_current_span("pay"):
    log.info("order %d is paid", 7, extra={"amount": 50})
    try:
        raise ValueError("the card has no cover")
    except ValueError:
        log.exception("order %d is not paid", 8)
get_logger("shop").emit(
    event_name="shop.closed", severity_number=SeverityNumber.INFO, attributes={"orders": 2}
)
# What waits is sent when the program ends.
