"""Real libraries below `heliograph run`, with the real server where they are a server's client."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from instrument.conftest import Backend, attributes
from instrument.real import servers
from instrument.real.environment import HERE, launched, variables
from instrument.real.libraries import LIBRARIES, Library
from instrument.real.trees import trees

pytestmark = pytest.mark.slow

SERVERS = {
    "aws": servers.aws,
    "kafka": servers.kafka,
    "mariadb": servers.mariadb,
    "mongodb": servers.mongodb,
    "rabbitmq": servers.rabbitmq,
}


class Running:
    """Servers that run until the end; each is started when it is first asked for."""

    def __init__(self, ports: pytest.FixtureRequest) -> None:
        self.stack = ExitStack()
        self._fixtures = ports
        self._ports: dict[str, int] = {}

    def port(self, name: str) -> int:
        if name in ("postgres", "redis"):
            port: int = self._fixtures.getfixturevalue(f"{name}_server")
            return port
        if name not in self._ports:
            server: AbstractContextManager[int] = SERVERS[name]()
            self._ports[name] = self.stack.enter_context(server)
        return self._ports[name]


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    found = Running(request)
    with found.stack:
        yield found


@pytest.mark.parametrize(("name", "library"), LIBRARIES.items(), ids=LIBRARIES)
def test_a_library_is_instrumented(
    name: str, library: Library, running: Running, backend: Backend
) -> None:
    places = {}
    if library.server is not None:
        port = running.port(library.server)
        places[library.server.upper()] = str(port)
        places["BROKER"], places["STORE"] = (f"redis://127.0.0.1:{port}/{n}" for n in (1, 2))
    program = HERE / "programs" / f"use_{name}.py"
    done = subprocess.run(
        launched("python", str(program)),
        cwd=program.parent,
        env=variables(backend.endpoint, **places),
        capture_output=True,
        text=True,
        timeout=2 * servers.PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "heliograph:" not in done.stderr
    backend.wait("metrics")
    spans = sorted(backend.items("spans"), key=lambda span: int(span["startTimeUnixNano"]))
    assert trees(spans) == library.spans
    for of, wanted in library.attributes.items():
        found = [attributes(span) for span in spans if span["name"] == of]
        for one, least in zip(found, wanted, strict=False):
            assert {key: one.get(key) for key in least} == least
        assert len(found) >= len(wanted)
    assert library.metrics <= {metric["name"] for metric in backend.items("metrics")}
    if library.logs is not None:
        records = backend.items("logs")
        assert [record["body"]["stringValue"] for record in records] == library.logs
        assert {record["spanId"] for record in records} == {spans[0]["spanId"]}


def test_of_all_that_is_installed_nothing_loads_before_its_library() -> None:
    code = (
        "import sys; names = [n for n in sys.modules if n.startswith('opentelemetry')]\n"
        "import opentelemetry.instrumentation.pika, json; print(names)"
    )
    done = subprocess.run(
        launched("python", "-c", code),
        env=variables("http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=2 * servers.PATIENCE,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
    assert "heliograph:" not in done.stderr
