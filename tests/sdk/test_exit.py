"""A bad endpoint holds an end up for a bound, whatever is held; one line says what is lost."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from exporters.backends import GrpcBackend
from life.programs import PROVIDERS, WORK, counts
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from sdk.programs import run

PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "120"}
"""Lets an export try for two minutes, so that who waits for it is told from who does not."""

LONG = 45
"""Seconds that a slow machine may take for a process that waits for two."""

SETUP = PROVIDERS.replace("OTEL_EXPORTER_OTLP_ENDPOINT", "ENDPOINT") + WORK
ENDS = {
    "exit": ("", 0),
    "sigterm": (
        "import signal, time; time.sleep(0.5)\n"
        "os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
        -signal.SIGTERM,
    ),
}


@contextmanager
def dead() -> Iterator[int]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


@contextmanager
def black_hole() -> Iterator[int]:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        yield hole.getsockname()[1]


@contextmanager
def slow() -> Iterator[int]:
    backend = GrpcBackend(lambda _: (time.sleep(20), b"")[1])
    try:
        yield backend.port
    finally:
        backend.stop()


@pytest.mark.parametrize("endpoint", [dead, black_hole, slow])
@pytest.mark.parametrize("end", ENDS)
def test_an_end_takes_its_bound_and_says_one_line(
    end: str, endpoint: Callable[[], AbstractContextManager[int]]
) -> None:
    how, status = ENDS[end]
    with endpoint() as port:
        began = time.monotonic()
        ended = run("work('lost')\n" + how, port, setup=SETUP, **PATIENT)
        assert time.monotonic() - began < LONG
    assert ended.returncode == status
    (line,) = ended.stderr.splitlines()
    assert sorted(line.partition(" could")[0].split(", ")) == [
        "1 log records",
        "1 spans",
        "metrics",
    ]
    assert f" could not be exported before the exit: 127.0.0.1:{port}: " in line


@pytest.mark.parametrize("end", ENDS)
def test_the_bound_can_be_set(end: str) -> None:
    how, _ = ENDS[end]
    with slow() as port:
        began = time.monotonic()
        ended = run(
            "work('kept')\n" + how, port, setup=SETUP, HELIOGRAPH_EXIT_TIMEOUT="60", **PATIENT
        )
        assert time.monotonic() - began > 19
    assert ended.stderr == ""


def metric_names(backend: GrpcBackend) -> set[str]:
    return {
        metric.name
        for one in backend.received
        if METRICS in one.path
        for resource in ExportMetricsServiceRequest.FromString(one.body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


SPANS, METRICS, LOGS = "TraceService", "MetricsService", "LogsService"
AWAY = """
import atexit
duration = metrics.get_meter("program").create_histogram("duration")

@atexit.register
def end():
    with tracer.start_as_current_span("the last one"):
        duration.record(1)
        logger.emit(body="the last one")
work("one")
"""


@pytest.mark.parametrize("endpoint", [dead, black_hole])
@pytest.mark.parametrize("lost", [SPANS, METRICS, LOGS])
def test_what_can_arrive_at_an_exit_does(
    lost: str, endpoint: Callable[[], AbstractContextManager[int]], backend: GrpcBackend
) -> None:
    """Also what is recorded by the last functions of a program, whose order is the other way."""
    setup = SETUP
    for service, exporter in ((SPANS, "Span"), (METRICS, "Metric"), (LOGS, "Log")):
        if service == lost:
            setup = setup.replace(f"OTLP{exporter}Exporter(to)", f"OTLP{exporter}Exporter(away)")
    with endpoint() as port:
        setup = setup.replace("import os\n", f'import os\naway = "http://127.0.0.1:{port}"\n', 1)
        began = time.monotonic()
        ended = run(AWAY, backend.port, setup=setup, **PATIENT)
        assert time.monotonic() - began < LONG
    assert f"127.0.0.1:{port}: " in ended.stderr
    arrived = {one.path.split("/")[1].rpartition(".")[2] for one in backend.received}
    assert arrived == {SPANS, METRICS, LOGS} - {lost}
    spans, logs, calls = counts(backend.received, ["one", "the last one"])
    assert spans == ([] if lost == SPANS else ["one", "the last one"])
    assert logs == ([] if lost == LOGS else ["one", "the last one"])
    assert calls == (0 if lost == METRICS else 1)
    if lost != METRICS:
        assert "duration" in metric_names(backend)
