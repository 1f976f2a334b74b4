"""Answer probes: is this collector alive, is it ready, and which exporters fail.

YAML: ``extensions: health_check``, named under ``service.extensions``. Fields: `Config`.
``path`` is for liveness: 200 from the moment the pipelines run until the process ends, whatever the
backends do, so that a probe never restarts collectors because a backend is down; its JSON body
names the exporters that fail. ``/ready`` is for traffic: 503 while starting and while draining.
Source: the Collector's healthcheckextension.
"""

from __future__ import annotations

import json
import re
from typing import Any

from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.fields import Duration, Field, Seconds
from heliograph.pipeline.http import Request, Response
from heliograph.pipeline.net import HttpServer
from heliograph.pipeline.pages import Pages
from heliograph.pipeline.redaction import redact
from heliograph.pipeline.telemetry import ITEMS, Failure, State, Telemetry

READY = "/ready"


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


class Config(HttpServer):
    """Where the page is, and what it says."""

    endpoint: str = Field("localhost:13133", description="host:port, or a Unix socket's path.")
    path: str = Field("/", pattern="^/", description="Path of the liveness page.")
    response_body: ResponseBody = Field(
        ResponseBody(), description="Fixed bodies; a JSON report where empty."
    )
    check_collector_pipeline: CheckPipeline = Field(
        CheckPipeline(), description="Let failing exporters turn the status red."
    )


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
                    "reason": redact(failure.reason),
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
    """Serves the two pages."""

    signals: frozenset[Signal] = frozenset()

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._telemetry = settings.telemetry
        self._clock = settings.clock
        self._log = settings.log
        self._core = Core(config, settings.clock.monotonic())
        self._pages = Pages(config, settings, self._answer)

    @property
    def port(self) -> int:
        """The port that is listened on; after ``start``."""
        return self._pages.port

    async def start(self) -> None:
        await self._pages.start()
        self._log.info("answers probes on %s%s", self._config.endpoint, self._config.path)

    async def stop(self) -> None:
        await self._pages.stop()

    async def _answer(self, request: Request) -> Response:
        telemetry, now = self._telemetry, self._clock.monotonic()
        if request.path == self._config.path:
            good = self._core.alive(telemetry.state, telemetry.failing, now)
        elif request.path == READY:
            good = telemetry.state is State.RUNNING
        else:
            return Response(404, b"no such page\n")
        status = 200 if good else 503
        fixed = self._config.response_body
        text = fixed.healthy if good else fixed.unhealthy
        if text:
            return Response(status, text.encode())
        report = self._core.report(telemetry.state, telemetry.failing, now)
        report["flow"] = flow(telemetry)
        body = json.dumps(report).encode() + b"\n"
        return Response(status, body, "application/json")


def flow(telemetry: Telemetry) -> dict[str, dict[str, int]]:
    """Return what receivers accepted and refused, and what exporters sent and did not."""
    found: dict[str, dict[str, int]] = {}
    for sample in telemetry.samples():
        match = _FLOW.fullmatch(sample.name)
        labels = dict(sample.labels)
        if match is not None and match["kind"] in labels:
            what = match["what"] + (f" ({labels['reason']})" if "reason" in labels else "")
            of = found.setdefault(f"{match['kind']} {labels[match['kind']]}", {})
            of[what] = int(sample.value)
    return found


_FLOW = re.compile(
    f"(otelcol|heliograph)_(?P<kind>receiver|exporter)_(?P<what>.+_({'|'.join(ITEMS.values())}))"
)
