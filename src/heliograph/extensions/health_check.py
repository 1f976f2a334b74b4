"""Answer probes: is this collector alive, is it ready, and which exporters fail.

YAML: ``extensions: health_check``, named under ``service.extensions``. Fields: `Config`.
``path`` is for liveness: 200 from the moment the pipelines run until the process ends, whatever the
backends do, so that a probe never restarts collectors because a backend is down; its JSON body
names the exporters that fail. ``/ready`` is for traffic: 503 while starting and while draining.
Source: the Collector's healthcheckextension.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from heliograph.errors import ConfigError, Problem
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.fields import Duration, Field, Seconds
from heliograph.pipeline.telemetry import Failure, State

READY = "/ready"

_HEAD = 16 * 1024
_PATIENCE = 5.0


class ResponseBody(ComponentConfig):
    """``response_body``: what probes are told instead of the JSON report."""

    healthy: str = Field("", description="Body of a 200.")
    unhealthy: str = Field("", description="Body of a 503.")


class CheckPipeline(ComponentConfig):
    """``check_collector_pipeline``: whether failing exporters turn the status red."""

    enabled: bool = Field(False, description="Answer 503 on path while an exporter fails.")
    interval: Duration = Field("5m", gt=0, description="Red after failing for so long,")
    exporter_failure_threshold: int = Field(
        5, ge=1, description="or after so many attempts without a success between them."
    )


class Config(ComponentConfig):
    """Where the page is, and what it says."""

    endpoint: str = Field("localhost:13133", description="Address to listen on, host:port.")
    path: str = Field("/", pattern="^/", description="Path of the liveness page.")
    response_body: ResponseBody = Field(
        ResponseBody(), description="Fixed bodies; a JSON report where empty."
    )
    response_headers: dict[str, str] = Field({}, description="Headers to add to each answer.")
    check_collector_pipeline: CheckPipeline = Field(
        CheckPipeline(), description="Let failing exporters turn the status red."
    )

    def check(self) -> Iterator[Problem]:
        _, colon, port = self.endpoint.rpartition(":")
        if not (colon and port.isdecimal() and int(port) < 65536):
            yield Problem("endpoint", f"is '{self.endpoint}', not host:port")
        for name, value in self.response_headers.items():
            if any(end in name + value for end in "\r\n"):
                yield Problem(f"response_headers.{name}", "has a line break")


class Core:
    """Decides what probes hear; readings come in."""

    def __init__(self, config: Config, started: Seconds) -> None:
        self._check = config.check_collector_pipeline
        self._started = started

    def alive(self, state: State, failing: dict[str, Failure], now: Seconds) -> bool:
        """Whether the liveness page is green."""
        if state is State.STARTING:
            return False
        return not any(self._red(failure, now) for failure in failing.values())

    def report(self, state: State, failing: dict[str, Failure], now: Seconds) -> dict[str, Any]:
        """Return the JSON body."""
        alive = self.alive(state, failing, now)
        return {
            "status": "Server available" if alive else "Server not available",
            "state": state.value,
            "uptime": f"{now - self._started:.3f}s",
            "failing": {
                exporter: {
                    "reason": failure.reason,
                    "seconds": round(now - failure.since, 3),
                    "attempts": failure.attempts,
                }
                for exporter, failure in sorted(failing.items())
            },
        }

    def _red(self, failure: Failure, now: Seconds) -> bool:
        return self._check.enabled and (
            now - failure.since >= self._check.interval
            or failure.attempts >= self._check.exporter_failure_threshold
        )


class Extension:
    """A small HTTP/1.1 server: one request a connection, heads up to 16 KiB."""

    signals: frozenset[Signal] = frozenset()

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._telemetry = settings.telemetry
        self._clock = settings.clock
        self._log = settings.log
        self._core = Core(config, settings.clock.monotonic())
        self._since = datetime.datetime.now(datetime.UTC)
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that is listened on; after ``start``."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        host, _, port = self._config.endpoint.rpartition(":")
        try:
            self._server = await asyncio.start_server(
                self._accept, host.strip("[]") or None, int(port), limit=_HEAD
            )
        except OSError as error:
            raise ConfigError(
                [Problem("endpoint", f"cannot listen on {self._config.endpoint}: {error.strerror}")]
            ) from error
        self._log.info("answers probes on http://%s%s", self._config.endpoint, self._config.path)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; whoever breaks off or dawdles is dropped."""
        dropped = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        try:
            with contextlib.suppress(*dropped):
                async with asyncio.timeout(_PATIENCE):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path not in (self._config.path, READY):
            return self._response(HTTPStatus.NOT_FOUND, "", method)
        if method not in ("GET", "HEAD"):
            return self._response(HTTPStatus.METHOD_NOT_ALLOWED, "", method)
        telemetry, now = self._telemetry, self._clock.monotonic()
        if path == self._config.path:
            good = self._core.alive(telemetry.state, telemetry.failing, now)
        else:
            good = telemetry.state is State.RUNNING
        fixed = self._config.response_body
        body = fixed.healthy if good else fixed.unhealthy
        if not body:
            report = self._core.report(telemetry.state, telemetry.failing, now)
            body = json.dumps({"upSince": self._since.isoformat(), **report}) + "\n"
        return self._response(
            HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, body, method
        )

    def _response(self, status: HTTPStatus, body: str, method: str) -> bytes:
        content = body.encode()
        kind = "application/json" if body.startswith("{") else "text/plain; charset=utf-8"
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Connection": "close",
            **({"Allow": "GET, HEAD"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}),
            **self._config.response_headers,
        }
        lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        return head + (b"" if method == "HEAD" else content)
