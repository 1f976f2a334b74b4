"""Log records of real programs: over OTLP, through exits and forks, beside a console."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator

import pytest
from exporters.backends import GrpcBackend, HttpBackend, Received
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from sdk.programs import run

SETUP = """
import logging, os, sys
from opentelemetry._logs import get_logger_provider, set_logger_provider
from heliograph.sdk.logs import LoggerProvider, LoggingHandler
from heliograph.sdk.logs.export import BatchLogRecordProcessor
from heliograph.sdk.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
set_logger_provider(LoggerProvider())
processor = BatchLogRecordProcessor(OTLPLogExporter(endpoint=os.environ["ENDPOINT"]))
get_logger_provider().add_log_record_processor(processor)
log = logging.getLogger("program")
log.setLevel(logging.INFO)
"""
ATTACH = SETUP + "logging.getLogger().addHandler(LoggingHandler())\n"


@pytest.fixture
def backend() -> Iterator[GrpcBackend]:
    backend = GrpcBackend()
    yield backend
    backend.stop()


def bodies(received: Iterable[Received]) -> list[str]:
    return sorted(
        record.body.string_value
        for one in received
        for resource in ExportLogsServiceRequest.FromString(one.body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )


def test_what_is_logged_arrives_at_exit(backend: GrpcBackend) -> None:
    ended = run("for n in range(3): log.info('line %d', n)", backend.port, setup=ATTACH)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert bodies(backend.received) == ["line 0", "line 1", "line 2"]


def test_over_http() -> None:
    backend = HttpBackend()
    setup = ATTACH.replace("proto.grpc", "proto.http").replace(
        '["ENDPOINT"]', '["ENDPOINT"] + "/v1/logs"'
    )
    try:
        ended = run("log.info('over http')", backend.port, setup=setup)
    finally:
        backend.stop()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert bodies(backend.received) == ["over http"]
    assert backend.received[0].path == "/v1/logs"


def test_forked_children_send_their_own(backend: GrpcBackend) -> None:
    program = """
    log.info("waiting in the parent")
    children = []
    for number in range(2):
        pid = os.fork()
        if pid == 0:
            log.info(f"child {number}")
            sys.exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    log.info("after")
    """
    ended = run(program, backend.port, setup=ATTACH)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert bodies(backend.received) == ["after", "child 0", "child 1", "waiting in the parent"]


def test_a_dead_endpoint_delays_the_exit_for_a_moment_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        ended = run("log.info('x')", server.getsockname()[1], setup=ATTACH)
        assert time.monotonic() - started < 8
    assert ended.returncode == 0
    assert ended.stderr.count("\n") == 1


def test_the_console_shows_what_it_would_have_shown(backend: GrpcBackend) -> None:
    program = """
    log.info("quiet")
    log.warning("shown")
    """
    plain = run(program, backend.port, setup=SETUP)
    taken = run(program, backend.port, setup=ATTACH)
    assert plain.stderr == "shown\n"
    assert taken.stderr == plain.stderr
    shown = ATTACH + "logging.getLogger().addHandler(logging.StreamHandler())\n"
    both = run(program, backend.port, setup=shown)
    assert both.stderr == "quiet\nshown\n"


def test_the_official_name_is_the_same_module() -> None:
    program = """
    import heliograph.sdk._logs.export as underscored
    import heliograph.sdk._logs
    import heliograph.sdk.logs.export as public
    import heliograph.sdk.logs
    assert heliograph.sdk._logs is heliograph.sdk.logs
    assert underscored is public
    from heliograph.sdk import install_aliases
    install_aliases(replace=True)
    import opentelemetry.sdk._logs.export as official
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    assert official is public
    assert LoggerProvider is heliograph.sdk.logs.LoggerProvider
    assert public.__spec__.name == "heliograph.sdk.logs.export"
    """
    ended = run(program, 1, setup="")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_handler_that_comes_before_the_provider_waits_for_it(backend: GrpcBackend) -> None:
    first, second = SETUP.split("set_logger_provider(LoggerProvider())\n")
    setup = f"""{first}logging.getLogger().addHandler(LoggingHandler())
logging.getLogger().error("nobody takes this")
set_logger_provider(LoggerProvider())
{second}"""
    ended = run("log.info('taken')", backend.port, setup=setup)
    assert (ended.returncode, ended.stderr) == (0, "nobody takes this\n")
    assert bodies(backend.received) == ["taken"]


def test_a_disabled_sdk_takes_nothing_and_does_not_recurse(backend: GrpcBackend) -> None:
    ended = run("log.info('x')", backend.port, setup=ATTACH, OTEL_SDK_DISABLED="true")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert backend.received == []


def test_sigterm_flushes(backend: GrpcBackend) -> None:
    program = """
    import signal
    from heliograph.sdk import flush_on_sigterm
    assert flush_on_sigterm()
    log.info("before the end")
    os.kill(os.getpid(), signal.SIGTERM)
    """
    ended = run(program, backend.port, setup=ATTACH)
    assert ended.returncode == -15
    assert bodies(backend.received) == ["before the end"]


@pytest.mark.parametrize("said", [[], ["one", "two"]])
def test_concurrent_processors_are_flushed_at_exit(backend: GrpcBackend, said: list[str]) -> None:
    setup = SETUP.replace("LoggerProvider())", "LoggerProvider(multi_log_record_processor=many))")
    setup = setup.replace(
        "set_logger_provider(Log",
        "from heliograph.sdk.logs import ConcurrentMultiLogRecordProcessor\n"
        "from heliograph.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider\n"
        "many = ConcurrentMultiLogRecordProcessor()\n"
        "spans = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor())\n"
        "set_logger_provider(Log",
    )
    program = f"for body in {said!r}: get_logger_provider().get_logger('l').emit(body=body)"
    ended = run(program, backend.port, setup=setup)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert bodies(backend.received) == said
