"""Sending the program's own telemetry somewhere, from time to time.

What is pushed here goes through no pipeline, and is neither counted with the exporters nor traced.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from heliograph._core import GrpcClient, HttpClient
from heliograph.errors import ConfigError, Problem, Reject, Retry
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Clock, ComponentId, Edge, Kind, Settings
from heliograph.pipeline.config.model import Push
from heliograph.pipeline.config.otel import OtlpExporter
from heliograph.pipeline.edge_client import Sender
from heliograph.pipeline.fields import Secret
from heliograph.pipeline.net_client import ClientTls, GrpcClientConfig, HttpClientConfig
from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import Counter, Telemetry

LOG = "heliograph.service.telemetry"
"""The name of the log of pushing itself, which is never pushed."""

LAST = 2.0
"""Seconds that the last push may take while the program ends."""

_PATHS = {
    Signal.TRACES: "/v1/traces",
    Signal.METRICS: "/v1/metrics",
    Signal.LOGS: "/v1/logs",
    Signal.PROFILES: "",
}
_OPTIONS = {
    "tls.ca_file": "certificate",
    "tls.cert_file": "client_certificate",
    "tls.key_file": "client_key",
}


class Target(Protocol):
    """Where batches go."""

    async def send(self, batch: Batch) -> int:
        """Return when it has them; how many items it did not want. Raises: Retry, Reject."""


class Source(Protocol):
    """Where batches come from."""

    def take(self) -> tuple[Batch, int] | None:
        """Return what is to be pushed now and how many items it has, None when nothing is."""

    def done(self) -> None:
        """What was taken has arrived, or never will."""


class Pusher:
    """Takes from a source every so often, and sends.

    A failure that may pass leaves what was taken to the next time.
    """

    def __init__(
        self, push: Push, source: Source, target: Target, clock: Clock, dropped: Counter
    ) -> None:
        self._push = push
        self._source = source
        self._target = target
        self._clock = clock
        self._dropped = dropped
        self._say = Sparingly(logging.getLogger(LOG), clock.monotonic)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Push what is there once more."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        await self.push(min(self._push.timeout or LAST, LAST))

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._push.every)
            while await self.push(self._push.timeout):
                pass

    async def push(self, within: float) -> bool:
        """Push once; return whether there may be more."""
        taken = self._source.take()
        if taken is None:
            return False
        batch, items = taken
        try:
            async with asyncio.timeout(within or None):
                self._dropped.value += await self._target.send(batch)
        except Reject as error:
            self._dropped.value += items
            self._say.warning("rejected", f"own telemetry was rejected: {error.reason}")
        except (Retry, OSError, TimeoutError) as error:
            self._say.warning("failed", f"own telemetry cannot be pushed: {error or 'no answer'}")
            return False
        except Exception as error:
            self._dropped.value += items
            self._say.error("broken", f"own telemetry cannot be pushed: {error!r}", caught=error)
        self._source.done()
        return items >= self._push.most


class Queue:
    """Items that wait to be pushed; the newest are dropped when there is no room."""

    def __init__(
        self, push: Push, encode: Callable[[Sequence[Any]], Batch], dropped: Counter
    ) -> None:
        self._waiting: deque[Any] = deque()
        self._room = push.room
        self._most = push.most
        self._encode = encode
        self._dropped = dropped
        self._taken = 0

    def put(self, item: Any) -> None:
        """Add one; may be called on any thread."""
        if len(self._waiting) >= self._room:
            self._dropped.value += 1
        else:
            self._waiting.append(item)

    def take(self) -> tuple[Batch, int] | None:
        self._taken = min(len(self._waiting), self._most)
        if not self._taken:
            return None
        return self._encode([self._waiting[i] for i in range(self._taken)]), self._taken

    def done(self) -> None:
        for _ in range(self._taken):
            self._waiting.popleft()
        self._taken = 0


class Latest:
    """Readings: taken when they are pushed, and taken anew after a failure."""

    def __init__(self, read: Callable[[], Batch]) -> None:
        self._read = read

    def take(self) -> tuple[Batch, int] | None:
        return self._read(), 0

    def done(self) -> None:
        """Nothing is kept."""


class Console:
    """Standard output: a line of OTLP/JSON a batch."""

    async def send(self, batch: Batch) -> int:
        sys.stdout.write(batch.json().decode() + "\n")
        sys.stdout.flush()
        return 0


def target(push: Push, edge: Edge, clock: Clock) -> Target:
    """Return where a push goes.

    Raises: ConfigError when an option cannot be used.
    """
    if push.otlp is None:
        return Console()
    settings = Settings(
        id=ComponentId("telemetry"),
        kind=Kind.EXTENSION,
        log=logging.getLogger(LOG),
        edge=edge,
        clock=clock,
        telemetry=Telemetry(),
    )
    try:
        client, where = _client(push.otlp, edge)
    except ValueError as error:
        option, message = error.args
        path = f"{push.path}.otlp.{_OPTIONS.get(option, option)}"
        raise ConfigError([Problem(path, message)]) from None
    timeout = push.otlp.timeout / 1000
    return Sender(client, settings, where=where, timeout=timeout, auth=None)


def _client(otlp: OtlpExporter, edge: Edge) -> tuple[GrpcClient | HttpClient, dict[Signal, str]]:
    common: dict[str, Any] = {
        "tls": ClientTls(
            insecure=not otlp.is_secure,
            ca_file=otlp.certificate,
            cert_file=otlp.client_certificate,
            key_file=otlp.client_key,
        ),
        "headers": {name: value.get_secret_value() for name, value in _headers(otlp).items()},
        "compression": otlp.compression,
    }
    if otlp.protocol == "grpc":
        endpoint = otlp.endpoint.partition("://")[2].rstrip("/") or otlp.endpoint
        grpc = GrpcClientConfig(endpoint=endpoint or "localhost:4317", **common)
        return GrpcClient(edge.events, grpc.native()), dict.fromkeys(_PATHS, grpc.endpoint)
    urls = {signal: url(otlp, signal) for signal in _PATHS}
    http = HttpClientConfig(**common)
    native = http.native(urls[Signal.LOGS]) | {"urls": tuple(urls.values()), "json": False}
    return HttpClient(edge.events, native), urls


def url(otlp: OtlpExporter, signal: Signal) -> str:
    """Return where a signal is posted to: a path that is written stays as it is."""
    scheme = "https" if otlp.is_secure else "http"
    endpoint = otlp.endpoint or "localhost:4318"
    full = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    return full if urlsplit(full).path.strip("/") else full.rstrip("/") + _PATHS[signal]


def _headers(otlp: OtlpExporter) -> dict[str, Secret]:
    found = dict(otlp.headers)
    listed = otlp.headers_list.get_secret_value() if otlp.headers_list else ""
    for pair in filter(None, listed.split(",")):
        name, _, value = pair.partition("=")
        found.setdefault(name.strip(), Secret(value.strip()))
    return found
