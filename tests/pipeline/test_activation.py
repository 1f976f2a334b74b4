"""Listening sockets from outside: systemd's own tool, and a supervisor that restarts under load."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from processes import PROGRAM, Collector, activated
from serving import caller, reached, receiving

from heliograph.otlp import Batch
from heliograph.pipeline.activation import inherited, notify
from heliograph.testing import Sink, traces

LOCAL = [("grpc.default_authority", "localhost")]
LOG = logging.getLogger("test")


class Activated(Collector):
    """A collector that is started with sockets, as systemd does it: from descriptor 3 on."""

    def __init__(self, config: Path, sockets: Sequence[socket.socket], names: str = "") -> None:
        super().__init__(config)
        self._fds = tuple(given.fileno() for given in sockets)
        self._command = activated(self._command[1:], sockets, names)


def listen(family: socket.AddressFamily = socket.AF_INET, address: Any = ("127.0.0.1", 0)) -> Any:
    bound = socket.socket(family)
    bound.bind(address)
    bound.listen(1024)
    return bound


def port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


def write(folder: Path, backend: str, grpc: str, http: str, more: str = "") -> Path:
    path = folder / "collector.yaml"
    path.write_text(f"""
receivers: {{otlp: {{protocols: {{grpc: {grpc}, http: {http}}}}}}}
exporters: {{otlp: {{endpoint: "{backend}", tls: {{insecure: true}}}}}}
extensions: {{health_check: {{endpoint: "127.0.0.1:0"}}}}
service:
  extensions: [{more}]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}
""")
    return path


def post(port: int, batch: Batch) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"content-type": "application/x-protobuf"}
        connection.request("POST", "/v1/traces", bytes(batch.wire()), headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
    finally:
        connection.close()


async def test_a_supervisor_restarts_it_under_load(tmp_path: Path) -> None:
    """Nobody is refused, and what was accepted has arrived."""
    sink = Sink()
    accepted = 0
    done = False
    with listen() as over_grpc, listen() as over_http:
        target = f"127.0.0.1:{port(over_grpc)}"

        async def sender(send: Callable[[Batch], Any]) -> None:
            nonlocal accepted
            while not done:
                await send(traces(1))
                accepted += 1

        def web(batch: Batch) -> Any:
            return asyncio.to_thread(post, port(over_http), batch)

        async with receiving(sink, grpc={}) as backend, grpc.aio.insecure_channel(target) as call:
            config = write(
                tmp_path,
                backend.addresses["grpc"],
                f'{{endpoint: "{target}"}}',
                f'{{endpoint: "localhost:{port(over_http)}"}}',
            )
            senders = [asyncio.create_task(sender(caller(call))) for _ in range(4)]
            senders += [asyncio.create_task(sender(web)) for _ in range(4)]
            for _ in range(3):
                with Activated(config, [over_grpc, over_http]) as collector:
                    before = accepted
                    await reached(lambda before=before: accepted > before + 200, 30)
                    collector.signal()
                    await reached(lambda of=collector: of.process.poll() is not None, 30)
                    assert collector.wait() == 0
            done = True
            with Activated(config, [over_grpc, over_http]):
                await asyncio.gather(*senders)
    assert accepted > 600
    assert sink.items == accepted


async def test_unix_sockets_names_reloads_and_what_nobody_uses(tmp_path: Path) -> None:
    sink = Sink()
    path = tmp_path / "otlp.sock"
    with (
        listen(socket.AF_UNIX, str(path)) as unix,
        listen() as named,
        listen() as spare,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
    ):
        async with receiving(sink, grpc={}) as backend:
            config = write(
                tmp_path,
                backend.addresses["grpc"],
                f'{{endpoint: "{path}", transport: unix}}',
                '{endpoint: "localhost:4318"}',
                "health_check",
            )
            sockets = [unix, named, spare, datagrams]
            with Activated(config, sockets, "unknown:otlp/http:extra:syslog") as collector:
                await reached(lambda: collector.says("ready"), 30)
                assert collector.says(f"OTLP/grpc on {path}")
                assert collector.says(f"OTLP/http on 127.0.0.1:{port(named)}")
                unused = f"nobody uses the socket 127.0.0.1:{port(spare)} (extra)"
                assert collector.says(unused)
                assert collector.says("handed in as 'syslog', is no stream socket")
                text = config.read_text()
                for number in range(1, 4):
                    grown = f"max_concurrent_streams: {number}, transport: unix"
                    config.write_text(text.replace("transport: unix", grown))
                    collector.signal(signal.SIGHUP)
                    await reached(
                        lambda number=number: (
                            sum(": reloaded; " in line for line in collector.err) == number
                        )
                    )
                    async with grpc.aio.insecure_channel(f"unix:{path}", LOCAL) as channel:
                        await caller(channel)(traces(1))
                    await asyncio.to_thread(post, port(named), traces(1))
                config.write_text(text.replace("[health_check]", "[]"))
                collector.signal()
                await reached(lambda: collector.process.poll() is not None, 30)
        os.stat(path)  # it is the supervisor's
    assert sink.items == 6


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd's tool")
async def test_with_systemds_own_tool(tmp_path: Path) -> None:
    sink = Sink()
    with listen() as taken:
        free = port(taken)
    async with receiving(sink, grpc={}) as backend:
        config = write(
            tmp_path,
            backend.addresses["grpc"],
            f'{{endpoint: "localhost:{free}"}}',
            '{endpoint: "127.0.0.1:0"}',
        )
        tool = ["systemd-socket-activate", "-l", f"127.0.0.1:{free}", "-E", "HELIOGRAPH_STATE_DIR"]
        program = [sys.executable, "-c", PROGRAM, "collector", "--config", str(config)]
        process = subprocess.Popen(  # noqa: ASYNC220 - does not block for long
            [*tool, *program], stderr=subprocess.PIPE, text=True
        )
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{free}") as channel:
                await caller(channel)(traces(2), wait_for_ready=True)
        finally:
            process.terminate()
            _, told = await asyncio.to_thread(process.communicate)
    assert sink.items == 2
    assert f"listens for OTLP/grpc on 127.0.0.1:{free}" in told
    assert process.returncode == 0


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "3"}
    assert inherited(environment, LOG) == []
    assert environment == {}, "children do not inherit it"
    assert inherited({}, LOG) == []
    assert inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"}, LOG) == []


def test_news_for_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notify("READY=1")  # nobody asked
    for address in (str(tmp_path / "notify"), f"\0heliograph-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(address)
            supervisor.settimeout(5)
            monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
            notify("READY=1")
            assert supervisor.recv(100) == b"READY=1"
        notify("STOPPING=1")  # nobody is there any more


async def test_a_supervisor_hears_of_start_reload_and_stop(tmp_path: Path) -> None:
    config = write(
        tmp_path, "127.0.0.1:9", '{endpoint: "127.0.0.1:0"}', '{endpoint: "127.0.0.1:0"}'
    )
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address)
        supervisor.settimeout(30)
        with Collector(config, env={"NOTIFY_SOCKET": address}) as collector:
            assert await asyncio.to_thread(supervisor.recv, 100) == b"READY=1"
            collector.signal(signal.SIGHUP)
            told = await asyncio.to_thread(supervisor.recv, 100)
            assert told.startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert await asyncio.to_thread(supervisor.recv, 100) == b"READY=1"
            collector.signal()
            assert await asyncio.to_thread(supervisor.recv, 100) == b"STOPPING=1"
            await reached(lambda: collector.process.poll() is not None, 30)
