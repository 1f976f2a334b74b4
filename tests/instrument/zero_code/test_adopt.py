"""Programs that use contrib's packages themselves get one span, and it is contrib's."""

import pytest

from instrument.conftest import Backend
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

REQUESTS = """
import http.server, threading
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
from opentelemetry.instrumentation.requests import RequestsInstrumentor
RequestsInstrumentor().instrument()
import requests
requests.get(f"http://127.0.0.1:{server.server_port}/")
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


def test_requests_as_a_whole_by_contrib(backend: Backend, run: Run) -> None:
    done = run(REQUESTS)
    assert done.returncode == 0, done.stderr
    assert scopes(backend, (3,)) == ["contrib GET"]
