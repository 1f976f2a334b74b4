"""Starts OTLP exporters for tests, and stops them at their end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from heliograph.exporters import otlp, otlphttp
from heliograph.pipeline.component import Edge, Kind, Settings
from heliograph.pipeline.telemetry import Telemetry
from heliograph.testing import settings


class Bench:
    def __init__(self) -> None:
        self.edge = Edge(asyncio.get_running_loop(), logging.getLogger("test.edge"))
        self.telemetry = Telemetry()
        self._exporters: list[otlp.Exporter | otlphttp.Exporter] = []

    def settings(self, id: str, extensions: Any = None) -> Settings:
        return settings(
            id, Kind.EXPORTER, edge=self.edge, telemetry=self.telemetry, extensions=extensions
        )

    async def grpc(self, endpoint: str, extensions: Any = None, **options: Any) -> otlp.Exporter:
        """Start an exporter ``otlp/tempo``, without TLS unless told otherwise."""
        options = {"endpoint": endpoint, "tls": {"insecure": True}, **options}
        config = otlp.Config.model_validate(options)
        exporter = otlp.Exporter(config, self.settings("otlp/tempo", extensions))
        await exporter.start()
        self._exporters.append(exporter)
        return exporter

    async def http(self, **options: Any) -> otlphttp.Exporter:
        """Start an exporter ``otlphttp``."""
        config = otlphttp.Config.model_validate(options)
        exporter = otlphttp.Exporter(config, self.settings("otlphttp"))
        await exporter.start()
        self._exporters.append(exporter)
        return exporter

    async def close(self) -> None:
        for exporter in self._exporters:
            await exporter.stop()
            await exporter.stop()
        self.edge.close()
