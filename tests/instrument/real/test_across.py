"""One request through several programs is one tree, and its logs and exemplars carry its ids."""

import shutil
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from instrument.conftest import Backend, free_port, listens
from instrument.real.environment import HERE, binaries, launched, variables
from instrument.real.servers import PATIENCE, peer
from instrument.real.trees import trees

pytestmark = pytest.mark.slow

PROGRAMS = HERE / "programs"
BEHIND = (
    "back SERVER GET /orders/{number}",
    [
        "back CLIENT INSERT orders",
        "back CLIENT SELECT orders",
        "back CLIENT INCRBY",
        (
            "back PRODUCER apply_async/worker.ship",
            [("worker CONSUMER run/worker.ship", ["worker CLIENT SET"])],
        ),
    ],
)
BETWEEN = ("middle SERVER GET", [("middle CLIENT GET", [BEHIND])])


def whole(*inner: object) -> list[object]:
    return [("front SERVER GET /buy/<int:number>", [("front CLIENT GET", list(inner))])]


@pytest.mark.parametrize("node", [False, True], ids=["python alone", "node between"])
def test_one_request_is_one_tree(
    node: bool, backend: Backend, postgres_server: int, redis_server: int, tmp_path: Path
) -> None:
    ports = {name: free_port() for name in ("front", "middle", "back")}
    urls = {
        "STORE": f"redis://127.0.0.1:{redis_server}/1",
        "BROKER": f"redis://127.0.0.1:{redis_server}/2",
        "DATABASE": f"postgresql+psycopg://app@127.0.0.1:{postgres_server}/postgres",
    }
    set_up(f"host=127.0.0.1 port={postgres_server} user=app dbname=postgres")
    shop = Shop(backend, tmp_path)
    with shop.stack:
        shop.run("worker", None, "celery", "-A", "worker", "worker", "-l", "info", "-c1", **urls)
        shop.run("back", ports["back"], "uvicorn", "--port", str(ports["back"]), "back:app", **urls)
        behind = "back"
        if node:
            shop.run_node("middle", ports["middle"], f"http://127.0.0.1:{ports['back']}")
            behind = "middle"
        address = f"http://127.0.0.1:{ports[behind]}"
        flask = ("flask", "--app", "front", "run", "--port", str(ports["front"]))
        shop.run("front", ports["front"], *flask, BEHIND=address)
        answer = f"http://127.0.0.1:{ports['front']}/buy/7"
        with urllib.request.urlopen(answer, timeout=PATIENCE) as found:
            assert found.read() == b'{"count":1}'
        wanted = whole(BETWEEN if node else BEHIND)
        backend.wait("spans", lambda found: trees(found, services=True) == wanted, PATIENCE)
        backend.wait("logs", lambda found: len(told(found)) == (4 if node else 3), PATIENCE)
        backend.wait("metrics", lambda found: len(exemplars(found)) >= 3, PATIENCE)
    spans = backend.items("spans")
    assert trees(spans, services=True) == wanted
    (trace,) = {span["traceId"] for span in spans}
    names = {span["spanId"]: span["name"] for span in spans}
    records = told(backend.items("logs"))
    assert {record["traceId"] for record in records.values()} == {trace}
    assert {body: names[record["spanId"]] for body, record in records.items()} == {
        "buying 7": "GET /buy/<int:number>",
        "ordered 7": "GET /orders/{number}",
        "shipped 7": "run/worker.ship",
        **({"passing on /orders/7": "GET"} if node else {}),
    }
    shown = exemplars(backend.items("metrics"))
    assert {one["traceId"] for _, one in shown} == {trace}
    assert {(metric, names[one["spanId"]]) for metric, one in shown} >= {
        ("http.server.request.duration", "GET /buy/<int:number>"),
        ("http.server.request.duration", "GET /orders/{number}"),
        ("db.client.operation.duration", "INSERT orders"),
    }


class Shop:
    """Programs that send to a backend; they end with the stack."""

    def __init__(self, backend: Backend, folder: Path) -> None:
        self.stack = ExitStack()
        self._backend = backend
        self._folder = folder

    def run(self, name: str, port: int | None, *command: str, **more: str) -> None:
        """Start a program with `heliograph run` alone."""
        named = {"OTEL_SERVICE_NAME": name, "PYTHONUNBUFFERED": "1", **more}
        self._start(name, port, launched(*command), variables(self._backend.endpoint, **named))

    def run_node(self, name: str, port: int, behind: str) -> None:
        """Start the service in the middle as Node's own auto-instrumentation says."""
        home = peer("nodeclient")
        shutil.copy(PROGRAMS / "middle.js", home)
        register = "@opentelemetry/auto-instrumentations-node/register"
        settings = {
            "OTEL_SERVICE_NAME": name,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_NODE_DISABLED_INSTRUMENTATIONS": "net,dns",
            "PORT": str(port),
            "BEHIND": behind,
        }
        command = ["node", "--require", register, str(home / "middle.js")]
        environment = variables(self._backend.endpoint, **settings)
        self._start(name, port, command, environment, home)

    def _start(
        self,
        name: str,
        port: int | None,
        command: list[str],
        environment: dict[str, str],
        cwd: Path = PROGRAMS,
    ) -> None:
        log = self._folder / f"{name}.log"
        with log.open("w") as out:
            process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=out, stderr=out)
        self.stack.callback(ended, process)
        end = time.monotonic() + PATIENCE
        while not (listens(port) if port else " ready." in log.read_text()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)


def ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:  # Node's agent takes SIGTERM and stays.
        process.kill()
        process.wait()


def set_up(database: str) -> None:
    """Make an empty table, with a program that is not instrumented."""
    code = (
        f"import psycopg\nwith psycopg.connect({database!r}) as c:\n"
        " c.execute('drop table if exists orders'); c.execute('create table orders (number int)')"
    )
    subprocess.run([binaries() / "python", "-c", code], check=True)


def told(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The programs' own records, by what they say."""
    bodies = [(record["body"].get("stringValue", ""), record) for record in records]
    own = ("buying", "passing on", "ordered", "shipped")
    return {body: record for body, record in bodies if body.startswith(own)}


def exemplars(metrics: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (metric["name"], exemplar)
        for metric in metrics
        for point in metric.get("histogram", {}).get("dataPoints", ())
        for exemplar in point.get("exemplars", ())
    ]
