"""Send over OTLP/gRPC, to a collector or any backend that speaks it.

YAML: ``exporters: otlp`` (also ``otlp_grpc``), any signal. Fields: `Config`.
One connection to each address behind the endpoint, many requests on each at a time, made again
when they end. What the other side asks for is obeyed: retry delays, GOAWAY, partial success
(counted, said, not sent again). Data is sent as it came, never decoded.
Source: the Collector's otlpexporter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from heliograph._core import GrpcClient
from heliograph.errors import Problem
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Settings
from heliograph.pipeline.delivery import DeliveryConfig
from heliograph.pipeline.edge_client import Sender, authenticator, grpc_client
from heliograph.pipeline.net_client import GrpcClientConfig
from heliograph.pipeline.redaction import without_credentials

ALL_SIGNALS = frozenset({Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES})


class Config(DeliveryConfig, GrpcClientConfig):
    def check(self) -> Iterator[Problem]:
        yield from super().check()
        fault = GrpcClient.check_endpoint(self.endpoint)
        if fault is not None:
            yield Problem("endpoint", fault)


class Exporter:
    """Shell around the core's gRPC client."""

    signals: ClassVar[frozenset[Signal]] = ALL_SIGNALS

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._client: GrpcClient | None = None
        self._sender: Sender | None = None

    async def start(self) -> None:
        self._client = grpc_client(self._config, self._settings)
        self._sender = Sender(
            self._client,
            self._settings,
            where=dict.fromkeys(self.signals, without_credentials(self._config.endpoint)),
            timeout=self._config.timeout,
            auth=authenticator(self._config, self._settings),
        )

    async def consume(self, batch: Batch) -> int:
        assert self._sender is not None
        return await self._sender.send(batch) if batch.items else 0

    async def stop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
