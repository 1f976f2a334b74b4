"""One process with the official SDK that makes spans at a rate and times its export calls.

``python sdk_client.py SPANS_PER_SECOND SECONDS``, run by latency.py in the SDK's own environment;
OTEL_EXPORTER_OTLP_ENDPOINT says where to. It prints JSON: spans made, spans whose export
succeeded, milliseconds of each export call.
"""

import json
import sys
import time

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult


class Timed(OTLPSpanExporter):
    """The exporter, with a watch."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = []
        self.succeeded = 0

    def export(self, spans):
        started = time.perf_counter()
        result = super().export(spans)
        self.calls.append((time.perf_counter() - started) * 1000)
        if result is SpanExportResult.SUCCESS:
            self.succeeded += len(spans)
        return result


def main(rate: int, seconds: float) -> None:
    exporter = Timed()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("latency")
    attributes = {f"key.{number}": f"value {number}" for number in range(10)}
    began, made = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        while made < elapsed * rate:
            tracer.start_span("work", attributes=attributes).end()
            made += 1
        time.sleep(0.005)
    provider.shutdown()
    print(json.dumps({"made": made, "succeeded": exporter.succeeded, "calls_ms": exporter.calls}))


main(int(sys.argv[1]), float(sys.argv[2]))
