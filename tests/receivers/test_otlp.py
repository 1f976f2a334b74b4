"""The OTLP receiver, asked by real clients over loopback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from heliograph.otlp import Signal
from heliograph.pipeline.component import Edge, Kind
from heliograph.receivers.otlp import Config, Receiver
from heliograph.testing import Sink, settings

LOG = logging.getLogger("test")
ALL = (Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES)


@asynccontextmanager
async def receiving(sink: Sink, **protocols: Any) -> AsyncIterator[Receiver]:
    protocols = {name: {"endpoint": "localhost:0"} | given for name, given in protocols.items()}
    made = settings("otlp", Kind.RECEIVER, edge=Edge(asyncio.get_running_loop(), LOG))
    receiver = Receiver(Config(protocols=protocols), made, dict.fromkeys(ALL, sink))
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()
        made.edge.close()


def spans(count: int) -> Any:
    tracer = TracerProvider().get_tracer("test")
    made = []
    for number in range(count):
        span = tracer.start_span(f"span {number}")
        span.end()
        made.append(span)
    return made


async def test_the_official_exporters() -> None:
    sink = Sink()
    async with receiving(sink, grpc={}, http={}) as receiver:
        grpc = GrpcExporter(endpoint=f"http://{receiver.addresses['grpc']}", insecure=True)
        url = f"http://{receiver.addresses['http']}/v1/traces"
        http = HttpExporter(endpoint=url, compression=Compression.Gzip)
        for exporter in (grpc, http):
            assert await asyncio.to_thread(exporter.export, spans(3)) is SpanExportResult.SUCCESS
            await asyncio.to_thread(exporter.shutdown)
    assert [batch.items for batch in sink.batches] == [3, 3]
