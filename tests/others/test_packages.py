"""Packages that build on the official SDK, on ours: what a program records arrives.

Each is a program in ``packages/`` with the pinned list of what it needs. The backends of vendors
are out of reach of a test, so an HTTP server on loopback takes their place: what it gets is read.
Modes are those of `under_alias`.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from exporters.backends import Answer, HttpBackend, Received
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from others.environments import environment
from others.install import HERE

PACKAGES = HERE / "packages"
SECONDS = 120


@pytest.fixture
def backend() -> Iterator[HttpBackend]:
    backend = HttpBackend(answer)
    yield backend
    backend.stop()


def answer(request: Received) -> Answer:
    """Take everything, as the vendor would say it."""
    if not request.path.endswith("/track"):
        return Answer()
    count = len(json.loads(unpacked(request)))
    return Answer(
        body=json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
    )


def run(name: str, mode: str, backend: HttpBackend) -> list[Received]:
    """Run a program to its end; return what the backend got, uncompressed."""
    pinned = (PACKAGES / f"{name}.txt").read_text()
    python = environment(f"package-{name}", pinned, official=mode != "absent")
    ended = subprocess.run(
        [python, HERE / "under_alias.py", PACKAGES / f"{name}.py", mode],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(PACKAGES),
            "PYTHONPATH": str(HERE.parents[1] / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ENDPOINT": f"http://127.0.0.1:{backend.port}",
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
            "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [Received(one.path, one.headers, unpacked(one)) for one in backend.received]


def unpacked(request: Received) -> bytes:
    unpack: dict[str | None, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
    }
    return unpack.get(request.headers.get("content-encoding"), bytes)(request.body)


def spans(received: list[Received]) -> dict[str, Span]:
    found = {}
    for one in received:
        if not one.path.rstrip("/").endswith("/v1/traces"):
            continue
        for resource in ExportTraceServiceRequest.FromString(one.body).resource_spans:
            for scope in resource.scope_spans:
                found |= {span.name: span for span in scope.spans}
    return found


def attributes(span: Span) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in span.attributes
    }


def only(received: list[Received], path: str) -> Received:
    (one,) = [one for one in received if one.path == path]
    return one


# It asks for the version of an installed opentelemetry-sdk, and is not imported without one.
@pytest.mark.parametrize("mode", ["replaced", "beside"])
def test_the_azure_monitor_exporter_exports(mode: str, backend: HttpBackend) -> None:
    received = run("azure_monitor", mode, backend)
    sent = [item["data"] for one in received for item in json.loads(one.body)]
    by_type = {data["baseType"]: data["baseData"] for data in sent}
    assert by_type["RemoteDependencyData"]["name"] == "pay"
    assert by_type["RemoteDependencyData"]["properties"] == {"amount": "3"}
    messages = {data["baseData"]["message"] for data in sent if data["baseType"] == "MessageData"}
    assert messages == {"paid 3", "paid"}
    (point,) = by_type["MetricData"]["metrics"]
    assert (point["name"], point["value"]) == ("payments", 1)


@pytest.mark.parametrize("mode", ["absent", "replaced", "beside"])
def test_the_baggage_processor_puts_baggage_on_spans(mode: str, backend: HttpBackend) -> None:
    (span,) = spans(run("baggage", mode, backend)).values()
    assert attributes(span) == {"tenant": "seven"}


@pytest.mark.parametrize("mode", ["absent", "replaced"])
def test_sentry_gets_spans_and_the_exceptions_on_them(mode: str, backend: HttpBackend) -> None:
    received = run("sentry", mode, backend)
    traces = only(received, "/api/1/integration/otlp/v1/traces/")
    assert "sentry_key=key" in traces.headers["x-sentry-auth"]
    (span,) = spans(received).values()
    assert [event.name for event in span.events] == ["exception"] * 2
    first, second = [one.body for one in received if one.path == "/api/1/envelope/"]
    assert b"no answer" in first
    assert span.trace_id.hex().encode() in first
    assert b"no money" in second


@pytest.mark.parametrize("mode", ["absent", "replaced"])
def test_phoenix_gets_spans_until_its_processor_is_replaced(
    mode: str, backend: HttpBackend
) -> None:
    received = run("phoenix_otel", mode, backend)
    first, second = received
    assert (first.path, second.path) == ("/v1/traces", "/other/v1/traces")
    assert first.headers["authorization"] == "Bearer secret"
    (span,) = spans([first]).values()
    assert attributes(span)["openinference.span.kind"] == "CHAIN"
    assert list(spans([second])) == ["again"]


@pytest.mark.parametrize("mode", ["absent", "replaced"])
def test_langfuse_gets_observations(mode: str, backend: HttpBackend) -> None:
    received = run("langfuse_client", mode, backend)
    found = spans(received)
    assert {"pay", "ask"} == set(found)
    assert found["ask"].parent_span_id == found["pay"].span_id
    assert attributes(found["ask"])["langfuse.observation.output"] == "yes"
    assert all(one.headers["authorization"].startswith("Basic ") for one in received)


@pytest.mark.parametrize("mode", ["absent", "replaced"])
def test_logfire_gets_spans_and_metrics(mode: str, backend: HttpBackend) -> None:
    received = run("logfire_sdk", mode, backend)
    assert {one.headers["authorization"] for one in received} == {"pylf_v1_local_token"}
    found = spans(received)
    assert {"pay {amount}", "paid", "fail"} <= set(found)
    assert attributes(found["pay {amount}"])["logfire.msg"] == "pay 3"
    assert [event.name for event in found["fail"].events] == ["exception"]
    metrics = ExportMetricsServiceRequest.FromString(only(received, "/v1/metrics").body)
    names = [m.name for s in metrics.resource_metrics[0].scope_metrics for m in s.metrics]
    assert "payments" in names


@pytest.mark.parametrize("mode", ["absent", "replaced"])
def test_traceloop_gets_spans_as_its_callback_changed_them(mode: str, backend: HttpBackend) -> None:
    received = run("traceloop_sdk", mode, backend)
    found = spans(received)
    assert {"pay.workflow", "charge.task"} == set(found)
    assert attributes(found["charge.task"])["secret"] == "***"
    assert attributes(found["charge.task"])["traceloop.workflow.name"] == "pay"
    assert only(received, "/v1/traces").headers["authorization"] == "Bearer key"
