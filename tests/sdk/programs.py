"""Programs as real processes, and the spans that arrive from them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable

from exporters.backends import Received
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SETUP = """
import os, sys
from opentelemetry import trace
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor
from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
trace.set_tracer_provider(TracerProvider())
processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["ENDPOINT"]))
trace.get_tracer_provider().add_span_processor(processor)
tracer = trace.get_tracer("program")
"""


def run(
    program: str, port: int, *, setup: str = SETUP, seconds: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its ``ENDPOINT`` is this port on loopback."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", setup + textwrap.dedent(program)],
        env={**os.environ, "ENDPOINT": f"http://127.0.0.1:{port}", **env},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def requests(received: Iterable[Received]) -> list[ExportTraceServiceRequest]:
    return [ExportTraceServiceRequest.FromString(one.body) for one in received]


def spans(received: Iterable[Received]) -> list[Span]:
    return [
        span
        for request in requests(received)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def names(received: Iterable[Received]) -> list[str]:
    return sorted(span.name for span in spans(received))
