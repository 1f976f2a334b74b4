"""Programs that call contrib's packages, each with the spans that it makes, by its last line.

A prelude, by the word before the colon, stands before the program. Where a database is named, its
port is in a variable.
"""

HTTP = """
import asyncio, http.server, threading
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"
"""

PRELUDES = {
    "requests": HTTP
    + """
from opentelemetry.instrumentation.requests import RequestsInstrumentor
import requests
""",
    "urllib3": HTTP
    + """
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
import urllib3
""",
    "httpx": HTTP
    + """
import httpx
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
class Retrying(httpx.BaseTransport):
    def __init__(self):
        self.inner = httpx.HTTPTransport()
    def handle_request(self, request):
        return self.inner.handle_request(request)
""",
    "psycopg": """
import asyncio, os, psycopg
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
options = dict(host="127.0.0.1", port=os.environ["POSTGRES"], user="app", dbname="postgres",
               autocommit=True)
""",
    "psycopg2": """
import os, psycopg2
from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
options = dict(host="127.0.0.1", port=os.environ["POSTGRES"], user="app", dbname="postgres")
""",
    "sqlite3": """
import sqlite3
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.instrumentation import dbapi
one, other = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
""",
    "sqlalchemy": """
import os, sqlalchemy
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
place = f"postgresql+psycopg://app@127.0.0.1:{os.environ['POSTGRES']}/postgres"
one, other = sqlalchemy.create_engine(place), sqlalchemy.create_engine(place)
def use(engine):
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
""",
    "redis": """
import asyncio, os, redis
from opentelemetry.instrumentation.redis import RedisInstrumentor
port = int(os.environ["REDIS"])
def use(client):
    client.set("a", 1)
    pipeline = client.pipeline()
    pipeline.get("a").get("a")
    pipeline.execute()
""",
    "django": """
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
import django
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("hello", lambda request: HttpResponse("x"))]
def use():
    from django.core.wsgi import get_wsgi_application
    from wsgiref.util import setup_testing_defaults
    asked = {"PATH_INFO": "/hello"}
    setup_testing_defaults(asked)
    get_wsgi_application()(asked, lambda *_: None).close()
from opentelemetry.instrumentation.django import DjangoInstrumentor
""",
    "starlette": """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
def make():
    return Starlette(routes=[Route("/hello", lambda request: PlainTextResponse("x"))])
one, other = make(), make()
""",
    "wsgi": """
from flask import Flask
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
def make():
    app = Flask("app")
    app.route("/hello")(lambda: "hello")
    return app
one, other = make(), make()
""",
}
KINDS = dict.fromkeys(("django", "starlette", "wsgi"), (1, 2))
"""Of the spans that are counted, where these are not a client's. Not counted are those that contrib
has for connecting and for each part of an answer."""

PROGRAMS = {
    "requests: as a whole": """
RequestsInstrumentor().instrument()
requests.get(url)
# contrib get""",
    "urllib3: as a whole": """
URLLib3Instrumentor().instrument()
urllib3.PoolManager().request("GET", url)
# contrib get""",
    "httpx: as a whole": """
HTTPXClientInstrumentor().instrument()
httpx.Client().get(url)
# contrib get""",
    "httpx: a client": """
one, other = httpx.Client(), httpx.Client()
HTTPXClientInstrumentor().instrument_client(one)
one.get(url); other.get(url)
HTTPXClientInstrumentor.uninstrument_client(one)
one.get(url)
# contrib get; ours get""",
    "httpx: an asynchronous client": """
async def main():
    one, other = httpx.AsyncClient(), httpx.AsyncClient()
    HTTPXClientInstrumentor.instrument_client(client=one)
    await one.get(url); await other.get(url)
asyncio.run(main())
# contrib get; ours get""",
    "httpx: a client with a transport of its own": """
one = httpx.Client(transport=Retrying(), mounts={"all://elsewhere": None})
HTTPXClientInstrumentor().instrument_client(one)
one.get(url)
# contrib get""",
    "httpx: a transport": """
from opentelemetry.instrumentation.httpx import SyncOpenTelemetryTransport
httpx.Client(transport=SyncOpenTelemetryTransport(httpx.HTTPTransport())).get(url)
httpx.Client().get(url)
# contrib get; ours get""",
    "psycopg: as a whole": """
PsycopgInstrumentor().instrument()
psycopg.connect(**options).execute("select 1")
# contrib select""",
    "psycopg: a connection": """
one, other = psycopg.connect(**options), psycopg.connect(**options)
PsycopgInstrumentor().instrument_connection(one)
one.execute("select 1")
one.cursor().executemany("select %s", [(1,), (2,)])
other.execute("select 1")
# contrib select; contrib select; ours select""",
    "psycopg: an asynchronous connection": """
async def main():
    one = await psycopg.AsyncConnection.connect(**options)
    other = await psycopg.AsyncConnection.connect(**options)
    PsycopgInstrumentor().instrument_connection(one)
    await one.execute("select 1")
    await other.execute("select 1")
asyncio.run(main())
# contrib select; ours select""",
    "psycopg2: a connection": """
one, other = psycopg2.connect(**options), psycopg2.connect(**options)
Psycopg2Instrumentor().instrument_connection(one)
one.cursor().execute("select 1")
other.cursor().execute("select 1")
# contrib select; contrib select""",
    "sqlite3: as a whole": """
SQLite3Instrumentor().instrument()
sqlite3.connect(":memory:").cursor().execute("select 1")
# contrib select""",
    "sqlite3: a connection": """
SQLite3Instrumentor().instrument_connection(one).cursor().execute("select 1")
other.cursor().execute("select 1")
# contrib select; ours select""",
    "sqlite3: a connection, by what all drivers share": """
name = "opentelemetry.instrumentation.mine"
dbapi.instrument_connection(name, one, "sqlite", {}).cursor().execute("select 1")
other.cursor().execute("select 1")
# contrib select; ours select""",
    "sqlite3: a module, by what all drivers share": """
dbapi.wrap_connect("opentelemetry.instrumentation.mine", sqlite3, "connect", "sqlite")
sqlite3.connect(":memory:").cursor().execute("select 1")
# contrib select""",
    "sqlalchemy: an engine": """
SQLAlchemyInstrumentor().instrument(engine=one)
use(one); use(other)
# contrib select postgres; ours select""",
    "redis: as a whole": """
RedisInstrumentor().instrument()
use(redis.Redis(port=port))
# contrib get get; contrib set""",
    "redis: a client": """
one, other = redis.Redis(port=port), redis.Redis(port=port)
RedisInstrumentor().instrument_client(one)
use(one); use(other)
RedisInstrumentor().uninstrument_client(one)
use(one)
# contrib get get; contrib set; ours pipeline get; ours set""",
    "redis: an asynchronous client": """
async def main():
    one, other = redis.asyncio.Redis(port=port), redis.asyncio.Redis(port=port)
    RedisInstrumentor().instrument_client(one)
    for client in (one, other):
        await client.set("a", 1)
        pipeline = client.pipeline()
        pipeline.get("a").get("a")
        await pipeline.execute()
        await client.aclose()
asyncio.run(main())
# contrib get get; contrib set; ours pipeline get; ours set""",
    "django: as a whole": """
DjangoInstrumentor().instrument()
use()
# contrib get hello""",
    "django: ours": """
use()
# ours get hello""",
    "starlette: an application": """
StarletteInstrumentor.instrument_app(one)
TestClient(one).get("/hello"); TestClient(other).get("/hello")
# contrib get /hello; ours get /hello""",
    "starlette: a middleware": """
TestClient(OpenTelemetryMiddleware(one)).get("/hello"); TestClient(other).get("/hello")
# contrib get /hello; ours get /hello""",
    "wsgi: a middleware": """
one.wsgi_app = OpenTelemetryMiddleware(one.wsgi_app)
one.test_client().get("/hello"); other.test_client().get("/hello")
# contrib get /hello; ours get /hello""",
}  # fmt: skip
