"""Servers with workers lose no span, log record or count when they are told to end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from exporters.backends import GrpcBackend

from life.programs import (
    LAUNCHER,
    PATIENCE,
    PROVIDERS,
    SERVED,
    WORK,
    counts,
    free_port,
    get,
    said,
    started,
    wait,
)

pytestmark = pytest.mark.slow

GUNICORN = (
    *("gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}"),
    *("--timeout", "60", "--graceful-timeout", "30"),
)
UVICORN = ("uvicorn", "--port", "{port}", "program:asgi")
UWSGI = (
    *("uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "program", "--die-on-term"),
    *("--enable-threads", "--master", "--processes", "2"),
)
WORKERS = {
    "sync": "wsgi",
    "gthread": "wsgi",
    "gevent": "wsgi",
    "asgi": "asgi",
    "uvicorn_worker.UvicornWorker": "asgi",
}
SERVERS = {
    **{
        f"gunicorn {kind}{' preload' * preload}": (
            *(*GUNICORN, "--worker-class", kind, f"program:{entry}"),
            *("--preload",) * preload,
        )
        for kind, entry in WORKERS.items()
        for preload in (False, True)
    },
    "uvicorn": UVICORN,
    "uvicorn workers": (*UVICORN, "--workers", "2"),
    "uvicorn reload": (*UVICORN, "--reload"),
    "uwsgi": UWSGI,
    "uwsgi lazy-apps": (*UWSGI, "--lazy-apps"),
    "uwsgi without threads": tuple(part for part in UWSGI if part != "--enable-threads"),
    "uwsgi gevent": (*UWSGI, "--gevent", "10"),
}
LAUNCHED = ("gunicorn sync", "gunicorn gevent preload", "uvicorn workers", "uwsgi")


@pytest.mark.parametrize(
    ("server", "launched"),
    [*((server, False) for server in SERVERS), *((server, True) for server in LAUNCHED)],
)
def test_a_server_loses_nothing_at_its_end(
    server: str, launched: bool, backend: GrpcBackend, commands: Path, tmp_path: Path
) -> None:
    port = free_port()
    name, *arguments = (part.format(port=port) for part in SERVERS[server])
    command = [*LAUNCHER * launched, commands / name, *arguments]
    program = PROVIDERS * (not launched) + WORK + SERVED
    wanted = [f"/{number:02}" for number in range(20)]
    with started(tmp_path, backend, *command, program=program) as process:
        for path in wanted:
            get(process, port, path)
        if "--lazy-apps" in command:
            # uWSGI itself hangs when told to end before each worker has imported the program.
            wait(process, lambda: (tmp_path / "output").read_text().count("WSGI app 0") == 2)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE)
    assert counts(backend.received, wanted) == (wanted, wanted, len(wanted)), said(tmp_path)
    said(tmp_path)
