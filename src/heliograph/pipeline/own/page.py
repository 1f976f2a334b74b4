"""Pages with the program's own metrics, where Prometheus looks for them."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Mapping, Sequence
from time import monotonic

from heliograph.errors import ConfigError, Problem
from heliograph.pipeline.config.model import MetricsPage
from heliograph.pipeline.http import Limits, Request, Response, Server
from heliograph.pipeline.net import parse_endpoint
from heliograph.pipeline.own.exposition import exposition, negotiate
from heliograph.pipeline.telemetry import Telemetry

PATH = "/metrics"
_BREATH = 0.005
"""Seconds that writing a page may hold the loop."""


class MetricsPages:
    """All of them; each answers ``/metrics``."""

    def __init__(
        self,
        pages: Sequence[MetricsPage],
        telemetry: Telemetry,
        level: str,
        resource: Mapping[str, str],
        log: logging.Logger,
    ) -> None:
        self._pages = pages
        self._telemetry = telemetry
        self._level = level
        self._resource = resource
        self._log = log
        self._servers: list[Server] = []

    @property
    def ports(self) -> list[int]:
        """Where they are, while they are."""
        return [server.port for server in self._servers]

    async def start(self) -> None:
        """Listen; a page that nobody wrote down is only warned of when its port is taken.

        Raises: ConfigError.
        """
        problems = []
        for page in self._pages:
            try:
                await self._open(page)
            except (OSError, ValueError) as error:
                in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
                if page.written or not in_use:
                    problems.append(_problem(page, error))
                else:
                    self._log.warning(
                        "%s is in use by another program, so there is no page with own metrics; "
                        "write service.telemetry.metrics.address to have one elsewhere",
                        page.address,
                    )
        if problems:
            await self.stop()
            raise ConfigError(problems)

    async def stop(self) -> None:
        """Close them; safe without start and twice."""
        while self._servers:
            await self._servers.pop().stop()

    async def _open(self, page: MetricsPage) -> None:
        async def answer(request: Request) -> Response:
            return await self._answer(page, request)

        address = parse_endpoint(page.address)
        server = Server(answer, self._log, Limits(head=5.0, idle=120.0, write=10.0))
        await server.start(address.host or None, address.port)
        self._servers.append(server)
        where = page.address if address.port else f"{address.host}:{server.port}"
        self._log.info("shows own metrics on http://%s%s", where, PATH)

    async def _answer(self, page: MetricsPage, request: Request) -> Response:
        if request.path != PATH:
            return Response(404, f"no such page; metrics are at {PATH}\n".encode())
        accept = request.headers.get("accept", "")
        style = negotiate(accept, total=page.total, units=page.units)
        parts = []
        turn = monotonic()
        readings = self._telemetry.readings()
        for part in exposition(readings, self._resource, style, self._level):
            parts.append(part)
            if monotonic() - turn > _BREATH:
                await asyncio.sleep(0)
                turn = monotonic()
        return Response(body="".join(parts).encode(), content_type=style.content_type)


def _problem(page: MetricsPage, error: OSError | ValueError) -> Problem:
    if isinstance(error, ValueError):
        return Problem(page.path, str(error), "write host:port")
    if error.errno == errno.EADDRINUSE:
        fix = "stop what listens there, or change the port"
        return Problem(page.path, f"{page.address} is in use by another program", fix)
    return Problem(page.path, f"cannot listen on {page.address}: {error.strerror or error}")
