"""Programs whose memory must not grow: ``python tests/sdk/memory.py NAME COUNT``.

Each does its work COUNT times and writes one line of JSON: resident memory in MiB after a first
part that fills caches and queues, and the most it was later on.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry.metrics import Histogram as ApiHistogram

from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from heliograph.sdk.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from heliograph.sdk.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from heliograph.sdk.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from heliograph.sdk.logs import LoggerProvider
from heliograph.sdk.logs.export import BatchLogRecordProcessor
from heliograph.sdk.metrics import Counter, MeterProvider
from heliograph.sdk.metrics.export import (
    AggregationTemporality,
    ManualReader,
    PeriodicExportingMetricReader,
)
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor

MIB = 1 << 20

Work = Callable[[int], object]
"""Does the work once; the number tells how often it was done before."""


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


class Discarding:
    """An exporter that takes bytes and forgets them."""

    def export_batch(self, batch: Any, timeout: float) -> bool:
        return True

    def shutdown(self) -> None: ...


def silent() -> int:
    """Listen on a port, take connections, and never say a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def take() -> None:
        while True:
            held.append(listener.accept())

    threading.Thread(target=take, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def spans_to(exporter: Any, **queue: Any) -> Work:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, **queue))
    tracer = provider.get_tracer("memory")

    def work(number: int) -> None:
        with tracer.start_as_current_span("GET /basket") as span:
            span.set_attribute("http.request.method", "GET")
            span.set_attribute("user.id", number)
            span.add_event("looked up")

    return work


def spans() -> Work:
    """Spans that are exported as fast as they come."""
    return spans_to(Discarding(), when_full="block", max_queue_bytes=4 * MIB)


def sets() -> Work:
    """Measurements with an attribute set each, for a cumulative and for a delta reader, both of
    which collect now and then."""
    deltas = dict.fromkeys((Counter, ApiHistogram), AggregationTemporality.DELTA)
    readers = [ManualReader(), ManualReader(deltas)]
    meter = MeterProvider(readers, shutdown_on_exit=False).get_meter("memory")
    counter, histogram = meter.create_counter("requests"), meter.create_histogram("durations")

    def work(number: int) -> None:
        attributes = {"user.id": f"user-{number}", "http.route": "/basket"}
        counter.add(1, attributes)
        histogram.record(number % 100, attributes)
        if number % 10_000 == 0:
            for reader in readers:
                reader.read()

    return work


def silent_grpc() -> Work:
    """Spans to a server that never answers."""
    exporter = Grpc(f"http://127.0.0.1:{silent()}", timeout=0.5)
    return spans_to(exporter, max_queue_bytes=8 * MIB)


def silent_http() -> Work:
    """The same over HTTP, for a queue that drops its oldest."""
    exporter = Http(f"http://127.0.0.1:{silent()}/v1/traces", timeout=0.5)
    return spans_to(exporter, max_queue_bytes=8 * MIB, when_full="drop_oldest")


def silent_logs() -> Work:
    """Log records to a server that never answers."""
    exporter = OTLPLogExporter(f"http://127.0.0.1:{silent()}/v1/logs", timeout=0.5)
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_queue_bytes=8 * MIB))
    logger = provider.get_logger("memory")
    return lambda number: logger.emit(body=f"record {number} of many", attributes={"n": number})


def silent_metrics() -> Work:
    """Collections of a thousand series that are exported all the time, and never taken."""
    exporter = OTLPMetricExporter(f"http://127.0.0.1:{silent()}/v1/metrics", timeout=0.01)
    reader = PeriodicExportingMetricReader(exporter, float("inf"))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    counter = meters.get_meter("memory").create_counter("requests")

    def work(number: int) -> None:
        counter.add(1, {"user.id": number % 1000})
        if number % 1000 == 0:
            meters.force_flush(10)

    return work


PROGRAMS: dict[str, Callable[[], Work]] = {
    made.__name__: made
    for made in (spans, sets, silent_grpc, silent_http, silent_logs, silent_metrics)
}


def readings(work: Work, count: int) -> Iterator[float]:
    """Do the work; yield the memory after each twentieth."""
    part = max(1, count // 20)
    for number in range(count):
        work(number)
        if (number + 1) % part == 0:
            yield resident()


def main(name: str, count: int) -> None:
    work = PROGRAMS[name]()
    bare = resident()
    found = list(readings(work, count))
    warm = len(found) // 4
    told = {"bare": bare, "warm": found[warm], "most": max(found[warm:]), "last": found[-1]}
    print(json.dumps({key: round(value, 1) for key, value in told.items()}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
