"""What probes hear, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from heliograph.errors import ConfigError
from heliograph.extensions.health_check import Config, Extension
from heliograph.pipeline.component import Kind
from heliograph.pipeline.telemetry import Failure, State, Telemetry
from heliograph.testing import FakeClock, settings


class Page:
    def __init__(self, **config: Any) -> None:
        self.clock = FakeClock()
        self.telemetry = Telemetry(state=State.RUNNING)
        given = settings("health_check", Kind.EXTENSION, clock=self.clock, telemetry=self.telemetry)
        self.extension = Extension(
            Config.model_validate({"endpoint": "127.0.0.1:0", **config}), given
        )

    async def ask(self, path: str = "/", method: str = "GET") -> tuple[int, str, str]:
        """Return status, head and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.extension.port)
        writer.write(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition("\r\n\r\n")
        return int(head.split()[1]), head, body


@asynccontextmanager
async def page(**config: Any) -> AsyncIterator[Page]:
    made = Page(**config)
    await made.extension.start()
    try:
        yield made
    finally:
        await made.extension.stop()


@pytest.mark.parametrize(
    ("state", "alive", "ready"),
    [(State.STARTING, 503, 503), (State.RUNNING, 200, 200), (State.DRAINING, 200, 503)],
    ids=str,
)
async def test_alive_while_pipelines_run_ready_while_they_take(
    state: State, alive: int, ready: int
) -> None:
    async with page() as probed:
        probed.telemetry.state = state
        assert (await probed.ask())[0] == alive
        assert (await probed.ask("/ready"))[0] == ready
        assert json.loads((await probed.ask())[2])["state"] == state.value


async def test_says_what_flows() -> None:
    async with page() as probed:
        counter = probed.telemetry.counter
        counter("otelcol_receiver_accepted_spans", receiver="otlp").value += 3
        counter("otelcol_exporter_sent_spans", exporter="otlp/2").value += 2
        counter("heliograph_exporter_dropped_spans", exporter="otlp/2", reason="rejected").value = 1
        probed.telemetry.gauge("otelcol_exporter_queue_size", lambda: 5, exporter="otlp/2")
        assert json.loads((await probed.ask())[2])["flow"] == {
            "receiver otlp": {"accepted_spans": 3},
            "exporter otlp/2": {"sent_spans": 2, "dropped_spans (rejected)": 1},
        }


async def test_a_failing_exporter_is_named_and_turns_nothing_red() -> None:
    async with page() as probed:
        probed.telemetry.failing["otlp/tempo"] = Failure(0.0, "connection refused", 7)
        await probed.clock.advance(1000)
        status, _, body = await probed.ask()
        assert status == 200
        assert json.loads(body)["failing"] == {
            "otlp/tempo": {"reason": "connection refused", "seconds": 1000.0, "attempts": 7}
        }


@pytest.mark.parametrize(
    ("seconds", "attempts", "status"), [(59, 4, 200), (60, 1, 503), (0, 5, 503)]
)
async def test_red_where_configured(seconds: float, attempts: int, status: int) -> None:
    async with page(check_collector_pipeline={"enabled": True, "interval": "1m"}) as probed:
        probed.telemetry.failing["out"] = Failure(0.0, "down", attempts)
        await probed.clock.advance(seconds)
        assert (await probed.ask())[0] == status
        assert (await probed.ask("/ready"))[0] == 200


async def test_path_bodies_and_headers_as_configured() -> None:
    config = {
        "path": "/health",
        "response_body": {"healthy": "fine", "unhealthy": "wait"},
        "response_headers": {"X-Where": "here"},
    }
    async with page(**config) as probed:
        status, head, body = await probed.ask("/health?x=1")
        assert (status, body) == (200, "fine")
        assert "X-Where: here" in head
        probed.telemetry.state = State.STARTING
        assert (await probed.ask("/ready"))[2] == "wait"
        assert (await probed.ask("/"))[0] == 404


async def test_other_methods_and_heads() -> None:
    async with page() as probed:
        assert (await probed.ask(method="POST"))[0] == 405
        status, head, body = await probed.ask(method="HEAD")
        assert (status, body) == (200, "")
        assert "Content-Length: 0" not in head


async def test_a_port_in_use_is_a_problem_of_the_endpoint() -> None:
    async with page() as probed:
        other = Page(endpoint=f"127.0.0.1:{probed.extension.port}")
        with pytest.raises(ConfigError, match=r"endpoint: .*in use"):
            await other.extension.start()
        await other.extension.stop()
