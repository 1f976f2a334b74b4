"""A running OTLP receiver, and small clients of it."""

from __future__ import annotations

import asyncio
import http.client
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Edge, Kind
from heliograph.pipeline.telemetry import Telemetry
from heliograph.receivers.otlp import Config, Receiver
from heliograph.testing import Sink, settings

LOG = logging.getLogger("test")
EXPORT = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    Signal.PROFILES: "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
}


@asynccontextmanager
async def receiving(
    sink: Sink,
    *,
    signals: Iterable[Signal] = tuple(EXPORT),
    extensions: Mapping[Any, Any] | None = None,
    telemetry: Telemetry | None = None,
    **protocols: Any,
) -> AsyncIterator[Receiver]:
    """Run a receiver on free ports; ``protocols`` is what stands under ``protocols:``."""
    given = {name: {"endpoint": "127.0.0.1:0"} | options for name, options in protocols.items()}
    edge = Edge(asyncio.get_running_loop(), LOG)
    made = settings("otlp", Kind.RECEIVER, edge=edge, extensions=extensions, telemetry=telemetry)
    receiver = Receiver(Config(protocols=given), made, dict.fromkeys(signals, sink))
    try:
        await receiver.start()
        yield receiver
    finally:
        await receiver.stop()
        edge.close()


@asynccontextmanager
async def calling(receiver: Receiver, **options: Any) -> AsyncIterator[Callable[..., Any]]:
    """Give a function that sends a batch with gRPC's own client and returns the answer's bytes."""
    arguments = [(f"grpc.{name}", value) for name, value in options.items()]
    target = receiver.addresses["grpc"]
    async with grpc.aio.insecure_channel(target, options=arguments) as channel:
        yield caller(channel)


def caller(channel: grpc.aio.Channel) -> Callable[..., Awaitable[bytes]]:
    """Return a function that sends a batch over a channel."""

    def call(batch: Batch, **options: Any) -> Any:
        method = channel.unary_unary(EXPORT[batch.signal])
        return method(bytes(batch.wire()), **({"timeout": 20} | options))

    return call


async def reached(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Return when the condition holds; fail when it does not hold in time."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Answer:
    """What an HTTP server said; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def posting(
    receiver: Receiver,
    path: str,
    body: bytes | Iterable[bytes],
    *,
    kind: str = "application/x-protobuf",
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> Answer:
    """Send one request over a connection of its own; an iterable body is chunked."""
    chosen = {"content-type": kind, **(headers or {})}
    return await asyncio.to_thread(ask, receiver.addresses["http"], method, path, body, chosen)


def ask(address: str, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()
