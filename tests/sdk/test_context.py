"""Where the context goes by itself, and where `carry` takes it: docs/guide/context.md."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry import baggage, context, trace

from heliograph.sdk.context import carry
from heliograph.sdk.trace import TracerProvider

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("t")
GEVENT = Path.home() / ".cache" / "heliograph-gevent"
PINNED = "gevent==26.9.0"


def here() -> int:
    """Return the id of the current trace; zero for none."""
    return trace.get_current_span().get_span_context().trace_id


def in_thread(work: Any) -> int:
    found: list[int] = []
    thread = Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def in_pool(work: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize("run", [in_thread, in_pool])
def test_threads_see_nobodys_context_unless_it_is_carried(run: Any) -> None:
    with TRACER.start_as_current_span("one") as span:
        assert run(here) == 0
        assert run(carry(here)) == span.get_span_context().trace_id == here()


def test_what_is_carried_is_the_context_of_the_moment_and_no_thread_keeps_it() -> None:
    with TRACER.start_as_current_span("one") as span:
        work = carry(here)
    assert here() == 0
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == span.get_span_context().trace_id
        assert pool.submit(here).result() == 0


def test_arguments_results_and_errors_go_through() -> None:
    assert carry(divmod)(7, 2) == (3, 1)
    assert carry(int)("11", base=2) == 3
    with TRACER.start_as_current_span("one"):
        failing = carry(here.__class__)
    with pytest.raises(TypeError):
        failing()
    assert here() == 0


async def test_asyncio() -> None:
    loop = asyncio.get_running_loop()

    async def coroutine() -> int:
        await asyncio.sleep(0)
        return here()

    with TRACER.start_as_current_span("one") as span:
        own = span.get_span_context().trace_id
        task = asyncio.create_task(coroutine())
        called = loop.create_future()
        loop.call_soon(lambda: called.set_result(here()))
        assert await coroutine() == own
        assert await asyncio.to_thread(here) == own
        assert await loop.run_in_executor(None, here) == 0
        assert await loop.run_in_executor(None, carry(here)) == own
    assert await task == own == await called
    with TRACER.start_as_current_span("two") as other:
        # A task keeps the context in which it was created, whoever waits for it.
        assert await asyncio.gather(asyncio.create_task(coroutine())) == [
            other.get_span_context().trace_id
        ]


async def test_a_generator_that_is_left_in_another_context_is_quiet(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stream() -> AsyncIterator[int]:
        with TRACER.start_as_current_span("stream"):
            yield here()
            yield here()

    one = stream()
    assert await anext(one) != 0

    async def close() -> None:
        await one.aclose()  # type: ignore[attr-defined]

    await asyncio.create_task(close())
    assert not caplog.records


CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from opentelemetry import baggage, context, trace
from heliograph.sdk.context import carry
from heliograph.sdk.trace import TracerProvider

def seen():
    return trace.get_current_span().get_span_context().trace_id, baggage.get_baggage("k")

def put(queue):
    queue.put(seen())

def run(multi, work):
    queue = multi.SimpleQueue()
    child = multi.Process(target=work, args=(queue,))
    child.start()
    found = queue.get()
    child.join()
    return found

if __name__ == "__main__":
    multi = multiprocessing.get_context(sys.argv[1])
    tracer = TracerProvider().get_tracer("t")
    context.attach(baggage.set_baggage("k", "v"))
    with tracer.start_as_current_span("one"):
        here = seen()
        assert here[0] and here[1] == "v"
        bare, carried = run(multi, put), run(multi, carry(put))
        with ProcessPoolExecutor(1, mp_context=multi) as pool:
            pooled = pool.submit(carry(seen)).result()
    assert carried == pooled == here, (carried, pooled, here)
    print("here" if bare == here else "nobody" if bare == (0, None) else bare)
"""


@pytest.mark.parametrize(
    ("method", "bare"), [("fork", "here"), ("spawn", "nobody"), ("forkserver", "nobody")]
)
def test_multiprocessing(method: str, bare: str, tmp_path: Path) -> None:
    assert method in multiprocessing.get_all_start_methods()
    program = tmp_path / "children.py"
    program.write_text(CHILDREN)
    ended = subprocess.run(
        [sys.executable, str(program), method],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{bare}\n", "")


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from opentelemetry import trace
from heliograph.sdk.context import carry
from heliograph.sdk.trace import TracerProvider

tracer = TracerProvider().get_tracer("t")

def here():
    gevent.sleep(0)
    return trace.get_current_span().get_span_context().trace_id

def own():
    with tracer.start_as_current_span("own") as span:
        return here() == span.get_span_context().trace_id

with tracer.start_as_current_span("one") as span:
    one = here()
    assert one == span.get_span_context().trace_id
    assert gevent.spawn(here).get() == 0
    assert gevent.spawn(carry(here)).get() == one
    assert all(greenlet.get() for greenlet in [gevent.spawn(own) for _ in range(5)])
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(here).result() == 0
        assert pool.submit(carry(here)).result() == one
    found = []
    thread = Thread(target=carry(lambda: found.append(here())))
    thread.start()
    thread.join()
    assert found == [one] == [here()]
"""


@pytest.fixture
def gevent() -> str:
    """A directory with gevent, which the environment of the tests does not have."""
    if not (GEVENT / PINNED).exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target"]
        subprocess.run([*command, str(GEVENT), PINNED], check=True, timeout=300)
        (GEVENT / PINNED).touch()
    return str(GEVENT)


@pytest.mark.slow
def test_gevent(gevent: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", GREENLETS],
        env={**os.environ, "PYTHONPATH": gevent},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_baggage_is_carried() -> None:
    token = context.attach(baggage.set_baggage("k", "v"))
    try:
        work = carry(baggage.get_baggage)
    finally:
        context.detach(token)
    assert in_pool(lambda: work("k")) == "v"
