"""The shell: the page's errors, authentication, headers; configuration; what is counted."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from rig import OPENMETRICS, PROTOBUF, TEXT, Rig

from heliograph.errors import ConfigError, Reject
from heliograph.exporters.prometheus import Config, Exporter
from heliograph.pipeline.component import ComponentId, Kind
from heliograph.testing import metrics, settings

GAUGE = {"name": "up", "gauge": {"dataPoints": [{"timeUnixNano": 1, "asInt": "1"}]}}
BROKEN = {"name": "up", "gauge": {"dataPoints": [{"timeUnixNano": 1}, {"timeUnixNano": 2}]}}


def request(*many: dict[str, Any]) -> dict[str, Any]:
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [*many]}]}]}


async def test_the_content_type_follows_accept() -> None:
    async with Rig() as rig:
        await rig.exporter.consume(metrics(3))
        for accept, begins in (
            (TEXT, "text/plain; version=0.0.4"),
            (OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
            (PROTOBUF, "application/vnd.google.protobuf; proto="),
        ):
            status, kind, body = await rig.get(accept)
            assert status == 200
            assert kind.startswith(begins)
            assert body


async def test_open_metrics_switched_off() -> None:
    async with Rig({"enable_open_metrics": False}) as rig:
        assert (await rig.get(OPENMETRICS))[1].startswith("text/plain; version=0.0.4")


async def test_there_is_one_page() -> None:
    async with Rig() as rig:
        status, _, body = await rig.get(path="/")
        assert (status, body) == (404, b"the metrics are at /metrics\n")


async def test_unusable_points_are_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Rig() as rig:
        for _ in range(3):
            with pytest.raises(Reject, match="no point can be shown to Prometheus: no value"):
                await rig.send(request(BROKEN))
        await rig.send(request(BROKEN, GAUGE))
        counted = rig.telemetry.value(
            "heliograph_exporter_dropped_metric_points", reason="no value"
        )
        assert counted == 2
        assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
            "'up' has points that cannot be shown: no value"
        ]
        assert "up 1\n" in await rig.shows()


async def test_a_metric_without_points_is_no_reason_to_reject() -> None:
    async with Rig() as rig:
        await rig.send(request({"name": "nothing"}))
        await rig.send({"resourceMetrics": []})
        assert await rig.shows() == ""


async def test_scrapes_and_batches_take_turns() -> None:
    async with Rig() as rig:
        await asyncio.gather(
            *(rig.exporter.consume(metrics(100)) for _ in range(5)),
            *(rig.shows() for _ in range(5)),
        )
        assert (await rig.shows()).count("\ngauge") == 1


async def test_stop_without_start_and_twice() -> None:
    rig = Rig()
    await rig.exporter.stop()
    async with rig:
        pass
    await rig.exporter.stop()


async def test_a_port_in_use_is_a_configuration_error() -> None:
    async with Rig() as first:
        config = Config(endpoint=f"127.0.0.1:{first.exporter.port}")
        with pytest.raises(ConfigError, match=r"endpoint: .* is in use"):
            await Exporter(config, settings("prometheus", Kind.EXPORTER)).start()


class Guard:
    """An authenticator that knows one header."""

    signals: frozenset[Any] = frozenset()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def authenticate(self, headers: Any) -> dict[str, str]:
        if headers.get("accept") != TEXT:
            raise Reject("who are you?", 16)
        return {}


async def test_authentication_and_response_headers() -> None:
    config = Config.model_validate(
        {
            "endpoint": "127.0.0.1:0",
            "auth": {"authenticator": "guard/1"},
            "response_headers": {"X-A": "b"},
        }
    )
    guards: Any = {ComponentId("guard", "1"): Guard()}
    rig = Rig()
    rig.exporter = Exporter(config, settings("prometheus", Kind.EXPORTER, extensions=guards))
    async with rig:
        assert (await rig.get(TEXT))[0] == 200
        status, _, body = await rig.get("*/*")
        assert (status, body) == (401, b"who are you?\n")


async def test_an_unknown_authenticator_is_a_configuration_error() -> None:
    rig = Rig({"auth": {"authenticator": "nobody"}})
    with pytest.raises(ConfigError, match="'nobody' is no authenticator"):
        await rig.exporter.start()


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"endpoint": "nowhere"}, "endpoint"),
        ({"endpoint": ":1", "const_labels": {"__x": "y"}}, "const_labels.__x"),
        ({"endpoint": ":1", "const_labels": {"": "y"}}, "const_labels."),
    ],
)
def test_configuration_problems(written: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in Config.model_validate(written).check()] == [path]


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ({}, set()),
        ({"resource_to_telemetry_conversion": {"enabled": True}}, {"host_name", "service_name"}),
        (
            {
                "resource_to_telemetry_conversion": {
                    "enabled": True,
                    "exclude_service_attributes": True,
                }
            },
            {"host_name"},
        ),
        ({"resource_constant_labels": {"included": ["host*"]}}, {"host_name"}),
        ({"resource_constant_labels": {"excluded": ["host*"]}}, {"service_name"}),
    ],
)
def test_which_resource_attributes_become_labels(written: dict[str, Any], labels: set[str]) -> None:
    labeller = Config.model_validate({"endpoint": ":1", **written}).labeller
    entries = labeller.resource({"service.name": "a", "host.name": "b"})
    assert {label for _, label, value in entries if value} - {"job"} == labels
