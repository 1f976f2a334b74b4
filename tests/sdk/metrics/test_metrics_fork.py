"""A forked child measures from zero, with a new start time, and its parent goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from exporters.backends import HttpBackend
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")

BEGIN = """
import json, os, sys, threading, time
from heliograph.sdk.metrics import Counter, MeterProvider
from heliograph.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
delta = {Counter: AggregationTemporality.DELTA}
reader, deltas = InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=delta)
provider = MeterProvider([reader, deltas], shutdown_on_exit=False)
counter = provider.get_meter("tests").create_counter("requests")

def points(reader):
    data = reader.get_metrics_data()
    if data is None:
        return []
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    return [(p.value, p.start_time_unix_nano) for p in metric.data.data_points]

def in_child(work):
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, json.dumps(work()).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return json.load(pipe)
"""


def run(program: str) -> dict[str, list[list[int]]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, list[list[int]]] = json.loads(done.stdout)
    return found


def test_the_child_starts_from_zero() -> None:
    found = run("""
counter.add(5)
points(deltas)
forked = time.time_ns()

def work():
    nothing = points(reader)
    counter.add(2)
    return {"nothing": nothing, "child": points(reader), "child_delta": points(deltas)}

result = in_child(work)
counter.add(1)
result |= {"parent": points(reader), "parent_delta": points(deltas), "forked": [[forked]]}
print(json.dumps(result))
""")
    ((forked,),) = found["forked"]
    assert found["nothing"] == []
    ((value, start),) = found["child"]
    assert value == 2
    assert start > forked
    ((value, start),) = found["child_delta"]
    assert value == 2
    assert start > forked
    ((value, start),) = found["parent"]
    assert value == 6
    assert start < forked
    assert [value for value, _ in found["parent_delta"]] == [1]


def test_forks_while_others_measure_and_collect() -> None:
    found = run("""
ended = threading.Event()

def measure():
    while not ended.is_set():
        counter.add(1, {"a": time.time_ns() % 500})

def collect():
    while not ended.is_set():
        points(reader)

threads = [threading.Thread(target=work) for work in (measure, collect, collect)]
for thread in threads:
    thread.start()

def work():
    counter.add(2, {"child": 1})
    return points(reader)

children = [in_child(work) for _ in range(30)]
ended.set()
for thread in threads:
    thread.join()
print(json.dumps({str(i): child for i, child in enumerate(children)}))
""")
    assert [[value for value, _ in points] for points in found.values()] == [[2]] * 30


CHILDREN = """
import multiprocessing, os, sys
from opentelemetry import metrics
from heliograph.sdk.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import PeriodicExportingMetricReader
from heliograph.sdk.resources import Resource

provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], Resource({}))
counter = provider.get_meter("tests").create_counter("requests")

def work(amount):
    counter.add(amount)

if __name__ == "__main__":
    counter.add(100)
    provider.force_flush()
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(i + 1,)) for i in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    if os.fork() == 0:
        counter.add(7)
        sys.exit()
    os.wait()
    counter.add(100)
"""


def test_a_child_that_was_forked_from_c_exports_by_itself_under_a_name_of_its_own() -> None:
    backend = HttpBackend()
    program = """
import ctypes, os
from heliograph.sdk.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import PeriodicExportingMetricReader
provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
counter = provider.get_meter("tests").create_counter("requests")
counter.add(5)
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    counter.add(2)
    raise SystemExit
os.waitpid(pid, 0)
"""
    try:
        subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{backend.port}"},
            timeout=60,
            check=True,
        )
    finally:
        backend.stop()
    found = {}
    for received in backend.received:
        (of,) = Request.FromString(received.body).resource_metrics
        who = {pair.key: pair.value.string_value for pair in of.resource.attributes}
        value = of.scope_metrics[0].metrics[0].sum.data_points[0].as_int
        found[who["service.instance.id"]] = value
    assert sorted(found.values()) == [2, 5]


def test_children_export_when_they_end() -> None:
    """Those of multiprocessing, which run no atexit, and those of fork alike."""
    backend = HttpBackend()
    try:
        subprocess.run(
            [sys.executable, "-W", "error", "-c", CHILDREN],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{backend.port}"},
            timeout=60,
            check=True,
        )
    finally:
        backend.stop()
    points = [
        point.as_int
        for received in backend.received
        for resource in Request.FromString(received.body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.sum.data_points
    ]
    assert sorted(points) == [1, 2, 3, 7, 100, 200]
