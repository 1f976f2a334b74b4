"""What hurts with the official launcher, by its number in the reference; real processes.

P1, P9, P10 and P19: `bootstrap/test_bootstrap.py`. P2, P3, P4, P15, P16, P17: `test_run.py`.
"""

import json
import signal
import subprocess
import sys
import venv
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from instrument.conftest import Backend, attributes, free_port
from instrument.zero_code.conftest import Run, launch
from instrument.zero_code.environment import HERE, ROOT, metadata
from instrument.zero_code.servers import ended, get, started, until

pytestmark = pytest.mark.slow

FLASK = """
import logging, os
from flask import Flask
app = Flask("app")

@app.route("/hello")
def hello():
    app.logger.warning("said")
    return str(os.getpid())

@app.route("/boom")
def boom():
    raise RuntimeError("boom")
"""

FASTAPI = """
import logging, os
from fastapi import FastAPI
app = FastAPI()

@app.get("/hello")
async def hello():
    return os.getpid()

@app.get("/boom")
async def boom():
    raise RuntimeError("boom")
"""

POOL = """
import multiprocessing, os, sys
from opentelemetry import trace
tracer = trace.get_tracer("program")

def work(number):
    with tracer.start_as_current_span("child"):
        return os.getpid()

if __name__ == "__main__":
    method, kind = sys.argv[1:]
    context = multiprocessing.get_context(method)
    with tracer.start_as_current_span("parent"):
        if kind == "pool":
            with context.Pool(2) as pool:
                pool.map(work, range(3), chunksize=1)
        else:
            processes = [context.Process(target=work, args=(n,)) for n in range(3)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
"""


Serve = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]


@pytest.fixture
def serve(bin: Path, variables: dict[str, str], tmp_path: Path) -> Serve:
    """Start a command below `heliograph run`, beside the program."""
    return partial(started, tmp_path, bin, variables)


def named(backend: Backend, name: str) -> list[dict[str, object]]:
    return [span for span in backend.items("spans") if span["name"] == name]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("kind", ["process", "pool"])
def test_p5_spans_of_child_processes_arrive(
    backend: Backend, run: Run, method: str, kind: str
) -> None:
    done = run(POOL, method, kind)
    assert done.returncode == 0, done.stderr
    backend.wait("spans", lambda found: len(found) == 4)
    assert len(named(backend, "child")) == 3
    if method == "fork":
        (parent,) = named(backend, "parent")
        assert {span["traceId"] for span in named(backend, "child")} == {parent["traceId"]}


@pytest.mark.parametrize("arguments", [("--workers", "2"), ("--reload",)], ids=str)
def test_p7_p13_p14_uvicorn_with_workers_and_reload(
    backend: Backend, serve: Serve, tmp_path: Path, arguments: tuple[str, ...],
) -> None:  # fmt: skip
    (tmp_path / "program.py").write_text(FASTAPI)
    port = free_port()
    command = ("uvicorn", "program:app", "--port", str(port), *arguments)
    with serve(*command) as process:
        get(port, "/hello")
        get(port, "/boom")
        backend.wait("metrics", lambda found: "http.server.request.duration" in names(found))
        ended(process, signal.SIGINT)
    backend.wait("spans", lambda found: len(found) >= 2)
    assert sorted(names(backend.items("spans"))) == ["GET /boom", "GET /hello"]
    bodies = [log["body"].get("stringValue", "") for log in backend.wait("logs", more_than(2))]
    assert any('"GET /hello HTTP/1.1" 200' in body for body in bodies), bodies
    assert any("Exception in ASGI application" in body for body in bodies), bodies
    output = (tmp_path / "output").read_text()
    assert '"GET /hello HTTP/1.1" 200' in output
    assert "RuntimeError: boom" in output


@pytest.mark.parametrize("arguments", [(), ("--preload",)], ids=str)
def test_p8_gunicorn_with_workers(
    backend: Backend, serve: Serve, tmp_path: Path, arguments: tuple[str, ...],
) -> None:  # fmt: skip
    (tmp_path / "program.py").write_text(FLASK)
    port = free_port()
    command = ("gunicorn", "program:app", "-w", "2", "-b", f"127.0.0.1:{port}", *arguments)
    with serve(*command) as process:
        pids: set[str] = set()
        until(lambda: pids.add(get(port, "/hello")) or len(pids) == 2)
        assert ended(process) == 0
    spans = backend.items("spans")
    assert {str(span["resource"]["process.pid"]) for span in spans} == pids
    assert len({span["resource"]["service.instance.id"] for span in spans}) == 2
    metrics = [m for m in backend.items("metrics") if m["name"] == "http.server.request.duration"]
    assert {str(metric["resource"]["process.pid"]) for metric in metrics} == pids
    assert {log["body"]["stringValue"] for log in backend.items("logs")} >= {"said"}


@pytest.mark.parametrize("arguments", [("--workers", "2"), ("--reload",)], ids=str)
def test_hypercorn_with_workers_and_reload(
    backend: Backend, serve: Serve, tmp_path: Path, arguments: tuple[str, ...],
) -> None:  # fmt: skip
    (tmp_path / "program.py").write_text(FASTAPI)
    port = free_port()
    command = ("hypercorn", "program:app", "--bind", f"127.0.0.1:{port}", *arguments)
    processes = 2 if "--workers" in arguments else 1
    with serve(*command) as process:
        pids: set[str] = set()
        until(lambda: pids.add(get(port, "/hello")) or len(pids) == processes)
        get(port, "/boom")
        assert ended(process) == 0
    spans = backend.items("spans")
    assert set(names(spans)) == {"GET /hello", "GET /boom"}
    served = {str(span["resource"]["process.pid"]) for span in spans}
    assert served == pids
    assert len({span["resource"]["service.instance.id"] for span in spans}) == processes
    metrics = [m for m in backend.items("metrics") if m["name"] == "http.server.request.duration"]
    assert {str(metric["resource"]["process.pid"]) for metric in metrics} == pids
    output = (tmp_path / "output").read_text()
    assert "RuntimeError: boom" in output


def test_p11_p12_one_span_a_statement(backend: Backend, run: Run, tmp_path: Path) -> None:
    done = run(
        "import sqlalchemy, sqlite3\n"
        f"engine = sqlalchemy.create_engine('sqlite:///{tmp_path}/data.db')\n"
        "with engine.connect() as connection:\n"
        "    connection.execute(sqlalchemy.text('select 1'))\n"
        "sqlite3.connect(':memory:').execute('select 2')\n"
    )
    assert done.returncode == 0, done.stderr
    spans = backend.wait("spans")
    assert [attributes(span)["db.query.text"] for span in spans] == ["select ?", "select ?"]
    assert all(str(tmp_path) not in span["name"] for span in spans)


def test_p18_werkzeug_logs_without_colours_and_with_a_trace(
    backend: Backend, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(FLASK)
    port = free_port()
    command = ("flask", "--app", "program", "run", "--port", str(port))
    with serve(*command) as process:
        get(port, "/hello")
        get(port, "/missing")
        backend.wait("logs", lambda found: any("/missing" in str(log["body"]) for log in found))
        ended(process)
    logs = [log for log in backend.items("logs") if "HTTP/1.1" in log["body"]["stringValue"]]
    assert all("\x1b" not in log["body"]["stringValue"] for log in logs), logs
    traces = {span["traceId"] for span in backend.wait("spans", more_than(1))}
    assert {log.get("traceId") for log in logs} == traces


def names(found: list[dict[str, object]]) -> list[object]:
    return [item["name"] for item in found]


def more_than(count: int) -> object:
    return lambda found: len(found) > count


RELOADERS = ("flask --debug", "django runserver", "uvicorn --reload", "hypercorn --reload")


@pytest.mark.parametrize("server", RELOADERS)
def test_reloaders(backend: Backend, serve: Serve, tmp_path: Path, server: str) -> None:
    port = str(free_port())
    if server.startswith("flask"):
        (tmp_path / "program.py").write_text(FLASK)
        command = ["flask", "--app", "program", "run", "--debug", "--port", port]
        path, name = "/hello", "GET /hello"
    elif server.startswith(("uvicorn", "hypercorn")):
        (tmp_path / "program.py").write_text(FASTAPI)
        place = ("--port", port) if server.startswith("uvicorn") else ("-b", f"127.0.0.1:{port}")
        command = [server.split(maxsplit=1)[0], "program:app", "--reload", *place]
        path, name = "/hello", "GET /hello"
    else:
        (tmp_path / "program.py").write_text(DJANGO)
        command = ["python", "program.py", "runserver", port]
        path, name = "/hello/7", "GET hello/<int:number>"
    with serve(*command) as process:
        first = get(int(port), path)
        with (tmp_path / "program.py").open("a") as program:
            program.write("\n# changed\n")
        until(lambda: get(int(port), path) != first)
        backend.wait("spans", lambda found: len({pid(span) for span in found}) == 2)
        ended(process, signal.SIGINT)
    assert set(names(backend.items("spans"))) == {name}


def pid(span: dict[str, object]) -> object:
    return span["resource"]["process.pid"]  # type: ignore[index]


DJANGO = """
import os, sys
from django.conf import settings
settings.configure(DEBUG=True, ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], SECRET_KEY="x")
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path

def hello(request, number):
    return HttpResponse(str(os.getpid()))

urlpatterns = [path("hello/<int:number>", hello)]
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""

CELERY = """
import os
from celery import Celery
app = Celery("program", broker="filesystem://", backend="cache+memory://")
folders = ("data_folder_in", "data_folder_out", "control_folder")
app.conf.broker_transport_options = dict.fromkeys(folders, "FOLDER")

@app.task
def add(a, b):
    return a + b
"""


@pytest.mark.parametrize("arguments", [(), ("--max-tasks-per-child", "1")], ids=str)
def test_p6_celery_with_processes(
    backend: Backend, serve: Serve, tmp_path: Path, run: Run,
    arguments: tuple[str, ...],
) -> None:  # fmt: skip
    folder = tmp_path / "queue"
    folder.mkdir()
    (tmp_path / "tasks.py").write_text(CELERY.replace("FOLDER", str(folder)))
    command = ("celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "2", *arguments)
    with serve(*command) as process:
        program = "from tasks import add\nfor number in range(4):\n    add.delay(number, 1)\n"
        done = run(program)
        assert done.returncode == 0, done.stderr
        backend.wait("spans", lambda found: len(of(found, "run/")) == 4)
        ended(process)
    spans = backend.items("spans")
    producers = {span["traceId"] for span in of(spans, "apply_async/")}
    assert {span["traceId"] for span in of(spans, "run/")} == producers
    assert len(spans) == 8, names(spans)


def of(found: list[dict[str, object]], prefix: str) -> list[dict[str, object]]:
    return [span for span in found if str(span["name"]).startswith(prefix)]


@pytest.mark.parametrize("launcher", ["", "heliograph"])
def test_a_tree_of_packages_on_the_path_works(
    backend: Backend, variables: dict[str, str], tmp_path: Path, launcher: str
) -> None:
    """The way in which the Kubernetes operator injects: nothing is installed in the program."""
    tree = tmp_path / "tree"
    pins = (HERE / "requirements.txt").read_text().splitlines()
    needed = [pin for pin in pins if pin.startswith(("opentelemetry-api=", "typing-extensions="))]
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "pip", "install", "-q", "--target", tree, "--no-deps", *needed], check=True)
    (tree / "heliograph").symlink_to(ROOT / "src" / "heliograph")
    metadata(tree)
    venv.create(tmp_path / "bare", symlinks=True)
    bare = tmp_path / "bare" / "bin"
    code = (
        "import sqlite3, opentelemetry; sqlite3.connect(':memory:').execute('select 1')\n"
        "print(opentelemetry.__path__)"
    )
    inject = "" if launcher else f"{tree}/heliograph/instrument/inject:"
    done = subprocess.run(
        [*launch(bare, launcher), str(bare / "python"), "-c", code],
        env=variables | {"PYTHONPATH": f"{inject}{tree}"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert str(tree) in done.stdout
    assert len(backend.wait("spans")) == 1


def test_gevent_patches_first(backend: Backend, run: Run) -> None:
    done = run(
        "import json, socket, gevent.monkey, sqlite3\n"
        "sqlite3.connect(':memory:').execute('select 1')\n"
        "print(json.dumps([gevent.monkey.is_module_patched('socket'), 'gevent' in"
        " socket.socket.__module__]))",
        OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH="patch_all",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [True, True]
    assert len(backend.wait("spans")) == 1


def test_hooks_of_packages_are_called_around(run: Run, tmp_path: Path) -> None:
    info = tmp_path / "hooks-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(
        "[opentelemetry_pre_instrument]\na = hooks:before\n"
        "[opentelemetry_post_instrument]\na = hooks:after\n"
    )
    (tmp_path / "hooks.py").write_text(
        "def before(): print('before')\ndef after(): print('after')\n"
    )
    done = run("print('program')")
    assert done.stdout == "before\nafter\nprogram\n", done.stderr
