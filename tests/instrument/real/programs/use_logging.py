import logging

from opentelemetry import trace

logging.basicConfig(level=logging.INFO)
with trace.get_tracer("shop").start_as_current_span("selling"):
    logging.getLogger("shop").warning("only %s left", 3)
