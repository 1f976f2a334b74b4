"""Programs that use contrib's packages themselves get one span, and it is contrib's."""

import pytest

from instrument.conftest import Backend
from instrument.zero_code.adopting import KINDS, PRELUDES, PROGRAMS
from instrument.zero_code.conftest import Run

pytestmark = pytest.mark.slow

FLASK = """
from flask import Flask
{imported}
app = Flask("app")
app.route("/hello")(lambda: "hello")
other = Flask("other")
other.route("/other")(lambda: "other")
{used}
app.test_client().get("/hello")
other.test_client().get("/other")
"""
CONTRIB = "from opentelemetry.instrumentation.flask import FlaskInstrumentor"

SQL = """
import sqlalchemy
engine = sqlalchemy.create_engine("sqlite://")
other = sqlalchemy.create_engine("sqlite://")
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
SQLAlchemyInstrumentor().instrument({options})
for one in (engine, other):
    with one.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
"""

FASTAPI = """
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from starlette.testclient import TestClient
app = FastAPI()
app.get("/hello")(lambda: "hello")
{used}
TestClient(app).get("/hello")
"""


def scopes(backend: Backend, kinds: tuple[int, ...]) -> list[str]:
    """The scope and name of each span of a kind, by its first word, sorted."""
    return sorted(
        ("contrib " if scope["scope"]["name"].startswith("opentelemetry.") else "ours ")
        + span["name"]
        for request in backend.requests()
        for resource in request.get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if span["kind"] in kinds
    )


@pytest.mark.parametrize(
    ("imported", "used", "spans"),
    [
        ("", "", ["ours GET /hello", "ours GET /other"]),
        (CONTRIB, "", ["ours GET /hello", "ours GET /other"]),
        (CONTRIB, "FlaskInstrumentor().instrument_app(app)",
         ["contrib GET /hello", "ours GET /other"]),
        ("", f"{CONTRIB}; FlaskInstrumentor.instrument_app(app)",
         ["contrib GET /hello", "ours GET /other"]),
    ],
)  # fmt: skip
def test_flask(backend: Backend, run: Run, imported: str, used: str, spans: list[str]) -> None:
    done = run(FLASK.format(imported=imported, used=used))
    assert (done.returncode, done.stderr) == (0, "")
    assert scopes(backend, (2,)) == spans


def test_flask_as_a_whole_by_contrib(backend: Backend, run: Run) -> None:
    program = f"{CONTRIB}\nFlaskInstrumentor().instrument()\n" + FLASK.format(imported="", used="")
    done = run(program)
    assert (done.returncode, done.stderr) == (0, "")
    assert scopes(backend, (2,)) == ["contrib GET /hello", "contrib GET /other"]


@pytest.mark.parametrize(
    ("options", "whose"),
    [
        ("engine=engine", ["contrib", "ours"]),
        ("engines=[engine, other]", ["contrib", "contrib"]),
        ("", []),  # contrib instruments what is made from then on
    ],
)
def test_sqlalchemy(backend: Backend, run: Run, options: str, whose: list[str]) -> None:
    done = run(SQL.format(options=options))
    assert (done.returncode, done.stderr) == (0, "")
    names = [name for name in scopes(backend, (3,)) if "connect" not in name.lower()]
    assert [name.split()[0] for name in names] == whose, names


@pytest.mark.parametrize(
    ("used", "whose"), [("FastAPIInstrumentor.instrument_app(app)", "contrib"), ("", "ours")]
)
def test_fastapi(backend: Backend, run: Run, used: str, whose: str) -> None:
    done = run(FASTAPI.format(used=used))
    assert done.returncode == 0, done.stderr
    assert scopes(backend, (2,)) == [f"{whose} GET /hello"]


@pytest.mark.parametrize(("name", "program"), PROGRAMS.items(), ids=PROGRAMS)
def test_one_span_each(
    name: str, program: str, backend: Backend, run: Run, request: pytest.FixtureRequest
) -> None:
    prelude = name.partition(":")[0]
    program, _, expected = (PRELUDES[prelude] + program).rpartition("# ")
    places = {
        server: str(request.getfixturevalue(f"{server.lower()}_server"))
        for server in ("POSTGRES", "REDIS")
        if server in program
    }
    done = run(program, **places)
    assert done.returncode == 0, done.stderr
    assert "heliograph" not in done.stderr
    found = [name.lower() for name in scopes(backend, KINDS.get(prelude, (3,)))]
    counted = [name for name in found if not name.endswith(("http send", "connect"))]
    assert counted == sorted(expected.strip().split("; ")), found
