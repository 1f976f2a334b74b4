"""Nothing is lost when a program ends, forks or is told to, and nobody waits long for it."""

from __future__ import annotations

import signal
import socket
import textwrap
import time
from pathlib import Path

import pytest
from exporters.backends import GrpcBackend

from sdk.programs import SETUP, names, requests, run, spans

PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "120"}
"""Lets an export try for two minutes, so that who waits for it is told from who does not."""

LONG = 45
"""Seconds that a slow machine may take for a process that waits for two."""

TUTORIAL = """
import os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(
    BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["ENDPOINT"]))
)
with trace.get_tracer("tutorial").start_as_current_span("hello"):
    pass
"""


def instances(backend: GrpcBackend) -> set[str]:
    return {
        pair.value.string_value
        for request in requests(backend.received)
        for pair in request.resource_spans[0].resource.attributes
        if pair.key == "service.instance.id"
    }


def test_the_tutorial_runs_with_only_the_prefixes_changed(backend: GrpcBackend) -> None:
    program = TUTORIAL.replace("opentelemetry.sdk", "heliograph.sdk").replace(
        "opentelemetry.exporter", "heliograph.sdk.exporter"
    )
    ended = run(program, backend.port, setup="", OTEL_SERVICE_NAME="shop")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    (request,) = requests(backend.received)
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    assert [span.name for span in scope.spans] == ["hello"]
    assert scope.scope.name == "tutorial"
    found = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert found["service.name"] == "shop"
    assert found["telemetry.sdk.name"] == "heliograph"


def test_spans_of_forked_children_arrive_once(backend: GrpcBackend) -> None:
    program = """
    with tracer.start_as_current_span("before"):
        pass
    processor.force_flush()
    with tracer.start_as_current_span("waiting in the parent"):
        pass
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            with tracer.start_as_current_span(f"child {number}"):
                pass
            sys.exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    with tracer.start_as_current_span("after"):
        pass
    """
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = ["after", "before", "child 0", "child 1", "child 2", "waiting in the parent"]
    assert names(backend.received) == expected
    assert len(instances(backend)) == 4


def test_a_fork_from_c_counts(backend: GrpcBackend) -> None:
    program = """
    import ctypes
    tracer.start_span("parent").end()
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        tracer.start_span("child").end()
        os._exit(0 if processor.force_flush() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    """
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert names(backend.received) == ["child", "parent"]
    ids = {span.span_id for span in spans(backend.received)}
    assert len(ids) == 2
    assert len(instances(backend)) == 2


def test_a_parent_keeps_exporting_while_it_forks(backend: GrpcBackend) -> None:
    program = """
    children = []
    for number in range(5):
        tracer.start_span(f"parent {number}").end()
        processor.force_flush()
        pid = os.fork()
        if pid == 0:
            tracer.start_span(f"child {number}").end()
            sys.exit(0)
        children.append(pid)
        tracer.start_span(f"parent {number} again").end()
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    """
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = [
        f"{who} {n}{more}"
        for n in range(5)
        for who, more in (("parent", ""), ("child", ""), ("parent", " again"))
    ]
    assert names(backend.received) == sorted(expected)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing_flush(backend: GrpcBackend, method: str, tmp_path) -> None:
    module = tmp_path / "work.py"
    module.write_text(
        """
import multiprocessing, os
from opentelemetry import trace
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor
from heliograph.sdk.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

trace.set_tracer_provider(TracerProvider())
exporter = OTLPSpanExporter(endpoint=os.environ["ENDPOINT"])
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(exporter))
tracer = trace.get_tracer("work")

def work(number):
    with tracer.start_as_current_span(f"child {number}"):
        pass

def main(method):
    context = multiprocessing.get_context(method)
    with tracer.start_as_current_span("parent"):
        process = context.Process(target=work, args=(1,))
        process.start()
        process.join()
        assert process.exitcode == 0
"""
    )
    program = f"import work; work.main({method!r})"
    ended = run(program, backend.port, setup="", PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert names(backend.received) == ["child 1", "parent"]


def test_sigterm_flushes_and_keeps_the_status(backend: GrpcBackend) -> None:
    program = """
    import signal
    from heliograph.sdk import flush_on_sigterm
    flush_on_sigterm()
    other = TracerProvider()
    other.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(os.environ["ENDPOINT"])))
    with tracer.start_as_current_span("last words"):
        pass
    other.get_tracer("other").start_span("not of the global provider").end()
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
    """
    ended = run(program, backend.port)
    assert ended.returncode == -signal.SIGTERM
    assert names(backend.received) == ["last words", "not of the global provider"]


@pytest.mark.parametrize(
    ("handlers", "told", "arrives"),
    [
        ("signal.signal(signal.SIGTERM, signal.SIG_DFL)", "", ["last words"]),
        (
            "old = signal.signal(signal.SIGTERM, print); signal.signal(signal.SIGTERM, old)",
            "",
            ["last words"],
        ),
        (
            "signal.signal(signal.SIGTERM, print); signal.signal(signal.SIGTERM, signal.SIG_DFL)",
            "",
            ["last words"],
        ),
        (
            "signal.signal(signal.SIGTERM, lambda *_: (print('mine', flush=True), os._exit(3)))",
            "mine\n",
            [],
        ),
    ],
)
def test_the_default_of_sigterm_is_to_flush_while_a_handler_of_ones_own_replaces_it(
    backend: GrpcBackend, handlers: str, told: str, arrives: list[str]
) -> None:
    program = f"""
    import signal
    from heliograph.sdk import flush_on_sigterm
    assert flush_on_sigterm()
    {handlers}
    tracer.start_span("last words").end()
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
    """
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3 if told else -15, told, "")
    assert names(backend.received) == arrives


def test_a_handler_that_was_there_before_gives_way_to_the_flush_when_it_is_reset(
    backend: GrpcBackend,
) -> None:
    program = """
    import signal
    from heliograph.sdk import flush_on_sigterm
    signal.signal(signal.SIGTERM, print)
    assert not flush_on_sigterm()
    assert signal.getsignal(signal.SIGTERM) is print
    tracer.start_span("last words").end()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
    """
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-15, "", "")
    assert names(backend.received) == ["last words"]


def test_sigterm_in_a_locked_section_and_twice_ends_in_time(backend: GrpcBackend) -> None:
    program = """
    import signal, threading
    from heliograph.sdk import flush_on_sigterm
    from heliograph.sdk.trace import SpanProcessor
    class Locked(SpanProcessor):
        lock = threading.Lock()
        def force_flush(self, timeout_millis=30000):
            os.kill(os.getpid(), signal.SIGTERM)
            with self.lock:
                return True
    trace.get_tracer_provider().add_span_processor(Locked())
    flush_on_sigterm()
    tracer.start_span("last words").end()
    with Locked.lock:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    """
    began = time.monotonic()
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stderr) == (-15, "")
    assert names(backend.received) == ["last words"]
    assert time.monotonic() - began < LONG


def test_sigterm_does_not_wait_for_a_black_hole() -> None:
    program = """
    import signal
    from heliograph.sdk import flush_on_sigterm
    assert flush_on_sigterm()
    assert not flush_on_sigterm()
    tracer.start_span("lost").end()
    os.kill(os.getpid(), signal.SIGTERM)
    """
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        began = time.monotonic()
        ended = run(program, hole.getsockname()[1], **PATIENT)
    assert ended.returncode == -signal.SIGTERM
    assert time.monotonic() - began < LONG


def test_a_dead_endpoint_delays_the_exit_by_little() -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        began = time.monotonic()
        ended = run('tracer.start_span("lost").end()', dead.getsockname()[1], **PATIENT)
    assert time.monotonic() - began < LONG
    assert ended.returncode == 0
    assert ended.stderr.count("\n") <= 2


def test_a_black_hole_delays_the_exit_by_little_and_is_said() -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        began = time.monotonic()
        ended = run('tracer.start_span("lost").end()', hole.getsockname()[1], **PATIENT)
    assert time.monotonic() - began < LONG
    assert ended.returncode == 0
    assert "could not be exported before the exit" in ended.stderr


def test_force_flush_keeps_its_time_and_tells_the_truth() -> None:
    program = """
    import time
    with tracer.start_as_current_span("lost"):
        pass
    began = time.monotonic()
    assert trace.get_tracer_provider().force_flush(300) is False
    assert time.monotonic() - began < 45
    """
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        ended = run(program, hole.getsockname()[1], **PATIENT)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_a_pool_flush(backend: GrpcBackend, method: str, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(
        SETUP
        + textwrap.dedent("""
        import multiprocessing

        def work(number):
            with tracer.start_as_current_span(f"task {number}"):
                return number

        def main(method):
            with multiprocessing.get_context(method).Pool(2, maxtasksperchild=1) as pool:
                assert pool.map(work, range(4), chunksize=1) == [0, 1, 2, 3]
                pool.close()
                pool.join()
        """)
    )
    program = f"import work; work.main({method!r})"
    ended = run(program, backend.port, setup="", PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert names(backend.received) == [f"task {number}" for number in range(4)]


def test_a_keyboard_interrupt_loses_nothing(backend: GrpcBackend) -> None:
    program = """
    import signal
    # A shell's background job, and what it starts, ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tracer.start_as_current_span("interrupted"):
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    """
    ended = run(program, backend.port)
    assert ended.returncode == -signal.SIGINT
    assert names(backend.received) == ["interrupted"]


def test_daemon_threads_may_record_until_the_end(backend: GrpcBackend) -> None:
    program = """
    import threading
    begun = threading.Event()
    def record():
        while True:
            tracer.start_span("of a daemon").end()
            begun.set()
    threading.Thread(target=record, daemon=True).start()
    begun.wait()
    """
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "of a daemon" in names(backend.received)


FIRST_USES = """
import builtins, logging
from opentelemetry import propagate, trace
from heliograph.sdk.logs import LoggerProvider, LoggingHandler
from heliograph.sdk.logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import InMemoryMetricReader
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor
from heliograph.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

reader = InMemoryMetricReader()
tracers, loggers = TracerProvider(), LoggerProvider()
meters = MeterProvider([reader])
tracers.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
loggers.add_log_record_processor(BatchLogRecordProcessor(InMemoryLogRecordExporter()))
tracer, logger = tracers.get_tracer("t"), loggers.get_logger("t")
histogram = meters.get_meter("t").create_histogram("h")
log = logging.Logger("t")
log.addHandler(LoggingHandler(logger_provider=loggers))
imported, original = [], builtins.__import__

def spy(name, *args, **kwargs):
    imported.append(name)
    return original(name, *args, **kwargs)

builtins.__import__ = spy
values = {"list": [1], "map": {"a": 1}, "range": range(3), "other": object()}
with tracer.start_as_current_span("s", attributes=values) as span:
    span.add_event("e", values)
    span.record_exception(ValueError("bad"))
    span.set_status(trace.StatusCode.ERROR)
    logger.emit(body=values)
    log.warning("text")
    histogram.record(1, values)
    headers = {}
    propagate.inject(headers)
    propagate.extract(headers)
reader.collect()
builtins.__import__ = original
print(imported)
"""


def test_the_first_use_imports_nothing() -> None:
    """A thread that imports something while the interpreter shuts down ends in native code."""
    ended = run("", 0, setup=FIRST_USES)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_signals_during_an_export_may_record_and_flush(backend: GrpcBackend) -> None:
    program = """
    import signal
    count = 0
    def record(*_):
        global count
        tracer.start_span(f"of the handler").end()
        count += 1
    signal.signal(signal.SIGALRM, record)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    for _ in range(200):
        tracer.start_span("of the program").end()
        assert processor.force_flush()
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert processor.force_flush()
    print(count)
    """
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = names(backend.received)
    assert found.count("of the program") == 200
    assert found.count("of the handler") == int(ended.stdout) > 0


def test_an_async_generator_that_ends_elsewhere_is_quiet(backend: GrpcBackend) -> None:
    program = """
    import asyncio
    async def numbers():
        with tracer.start_as_current_span("generator"):
            yield 1
            yield 2
    async def main():
        async for _ in numbers():
            break
        found = numbers()
        await asyncio.create_task(anext(found))
        await asyncio.create_task(found.aclose())
    asyncio.run(main())
    """
    ended = run(program, backend.port)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert names(backend.received) == ["generator", "generator"]
