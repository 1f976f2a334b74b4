"""Servers with workers lose no span, log record or count when they are told to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from exporters.backends import GrpcBackend

from life.programs import counts, environment, free_port, get, started

pytestmark = pytest.mark.slow

GUNICORN = ("gunicorn", "--workers", "2", "--graceful-timeout", "10", "--bind", "127.0.0.1:{port}")
SERVERS = {
    **{
        f"gunicorn {kind}{' preload' * preload}": (
            *GUNICORN,
            *("--worker-class", kind),
            *("--preload",) * preload,
            f"program:{'asgi' if kind == 'asgi' else 'wsgi'}",
        )
        for kind in ("sync", "gthread", "asgi")
        for preload in (False, True)
    },
    "uvicorn": ("uvicorn", "--port", "{port}", "program:asgi"),
    "uvicorn workers": ("uvicorn", "--workers", "2", "--port", "{port}", "program:asgi"),
    "uvicorn reload": ("uvicorn", "--reload", "--port", "{port}", "program:asgi"),
}


@pytest.fixture
def backend() -> Iterator[GrpcBackend]:
    backend = GrpcBackend()
    yield backend
    backend.stop()


@pytest.fixture(scope="session")
def commands() -> Path:
    return environment()


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_loses_nothing_at_its_end(
    server: str, backend: GrpcBackend, commands: Path, tmp_path: Path
) -> None:
    port = free_port()
    command = [part.format(port=port) for part in SERVERS[server]]
    wanted = [f"/{number:02}" for number in range(20)]
    with started(tmp_path, backend, *command, bin=commands) as process:
        for path in wanted:
            get(port, path)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    output = (tmp_path / "output").read_text()
    assert counts(backend.received) == (wanted, wanted, len(wanted)), output
    assert "heliograph" not in output, output
