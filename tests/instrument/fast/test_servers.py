"""Requests that Flask, Django, Starlette and FastAPI serve: one span and two metrics each."""

import asyncio
import io
import threading
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.trace import SpanKind, StatusCode

from heliograph.instrument.fast import _wsgi
from heliograph.instrument.fast._adopt import adopt

from .conftest import Recorded, attributes

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}

Ask = Callable[..., int]


def wsgi(application: Any) -> Ask:
    """Return what asks a WSGI application and returns the status."""

    def ask(path: str, method: str = "GET", headers: dict[str, str] | None = None) -> int:
        path, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "shop.example:8000",
            "HTTP_USER_AGENT": "curl",
            "REMOTE_ADDR": "10.0.0.9",
            "REMOTE_PORT": "4321",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": None,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in (headers or {}).items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        statuses = []
        body = application(environ, lambda status, headers, *more: statuses.append(status))
        b"".join(body)
        if hasattr(body, "close"):
            body.close()
        return int(statuses[-1][:3])

    return ask


def asgi(application: Any) -> Ask:
    """Return what asks an ASGI application and returns the status."""

    def ask(path: str, method: str = "GET", headers: dict[str, str] | None = None) -> int:
        path, _, query = path.partition("?")
        sent = {"host": "shop.example:8000", "user-agent": "curl", **(headers or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 8000),
            "client": ("10.0.0.9", 4321),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        statuses: list[int] = []

        bodies = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            while not bodies:
                await asyncio.Event().wait()
            return bodies.pop()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def main() -> None:
            try:
                await application(scope, receive, send)
            except ZeroDivisionError:
                statuses.append(500)

        asyncio.run(main())
        return statuses[0]

    return ask


def flask_application() -> Ask:
    import flask

    application = flask.Flask("shop")
    application.logger.disabled = True
    application.add_url_rule("/items/<name>", "item", lambda name: name)
    application.add_url_rule("/boom", "boom", lambda: str(1 // 0))
    application.add_url_rule(
        "/stream", "stream", lambda: flask.Response(str(_current_id()) for _ in range(2))
    )
    return wsgi(application)


def _current_id() -> int:
    context = trace.get_current_span().get_span_context()
    assert context.is_valid
    return context.span_id


def starlette_application() -> Ask:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def parts() -> Any:
        for _ in range(2):
            yield str(_current_id())

    application = Starlette(
        routes=[
            Route("/items/{name}", lambda request: PlainTextResponse("item")),
            Route("/boom", lambda request: PlainTextResponse(str(1 // 0))),
            Route("/stream", lambda request: StreamingResponse(parts())),
        ]
    )
    return asgi(application)


def fastapi_application() -> Ask:
    import fastapi

    application = fastapi.FastAPI()
    router = fastapi.APIRouter()

    async def parts() -> Any:
        for _ in range(2):
            yield str(_current_id())

    router.add_api_route("/{name}", lambda name: name)
    application.include_router(router, prefix="/items")
    application.add_api_route("/boom", lambda: str(1 // 0))
    application.add_api_route(
        "/stream", lambda: fastapi.responses.StreamingResponse(parts()), response_model=None
    )
    return asgi(application)


def django_application() -> Ask:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"], ROOT_URLCONF=(), SECRET_KEY="x", LOGGING_CONFIG=None
        )
        django.setup()
    settings.ROOT_URLCONF = (
        path("items/<str:name>", lambda request, name: HttpResponse(name)),
        path("boom", lambda request: HttpResponse(str(1 // 0))),
        path(
            "stream",
            lambda request: StreamingHttpResponse(str(_current_id()) for _ in range(2)),
        ),
    )
    return wsgi(WSGIHandler())


LIBRARIES = {
    "flask": (flask_application, "/items/<name>"),
    "starlette": (starlette_application, "/items/{name}"),
    "fastapi": (fastapi_application, "/items/{name}"),
    "django": (django_application, "items/<str:name>"),
}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    name: str = request.param
    return name


def served(recorded: Recorded, library: str, **settings: Any) -> Ask:
    import importlib

    recorded.instrument(library, importlib.import_module(library), **settings)
    return LIBRARIES[library][0]()


def test_a_request_is_one_span_of_stable_conventions(recorded: Recorded, library: str) -> None:
    ask = served(recorded, library)
    assert ask("/items/pear?colour=green&sig=abc", headers=CALLER) == 200
    (span,) = recorded.spans()
    route = LIBRARIES[library][1]
    assert span.name == f"GET {route}"
    assert span.kind is SpanKind.SERVER
    assert span.parent is not None
    assert span.parent.is_remote
    assert format(span.context.trace_id, "032x") == TRACE
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/items/pear",
        "url.query": "colour=green&sig=REDACTED",
        "server.address": "shop.example",
        "server.port": 8000,
        "client.address": "10.0.0.9",
        "network.peer.address": "10.0.0.9",
        "network.peer.port": 4321,
        "user_agent.original": "curl",
        "network.protocol.version": "1.1",
        "http.route": route,
        "http.response.status_code": 200,
    }
    ((labels, point),) = recorded.points("http.server.request.duration")
    assert labels == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.route": route,
        "http.response.status_code": 200,
    }
    assert point.count == 1
    assert point.exemplars[0].span_id == span.context.span_id
    ((labels, point),) = recorded.points("http.server.active_requests")
    assert labels == {"http.request.method": "GET", "url.scheme": "http"}
    assert point.value == 0
    assert not trace.get_current_span().get_span_context().is_valid


def test_an_exception_is_recorded(recorded: Recorded, library: str) -> None:
    ask = served(recorded, library)
    assert ask("/boom") == 500
    (span,) = recorded.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "ZeroDivisionError"
    assert attributes(span)["http.response.status_code"] == 500
    assert [event.name for event in span.events] == ["exception"]
    ((labels, _),) = recorded.points("http.server.request.duration")
    assert labels["error.type"] == "ZeroDivisionError"


def test_what_is_not_found_has_no_route(recorded: Recorded, library: str) -> None:
    ask = served(recorded, library)
    assert ask("/nowhere") == 404
    (span,) = recorded.spans()
    assert span.name == "GET"
    assert "http.route" not in attributes(span)
    assert span.status.status_code is StatusCode.UNSET


def test_a_stream_is_made_within_its_span(recorded: Recorded, library: str) -> None:
    ask = served(recorded, library)
    assert ask("/stream") == 200
    (span,) = recorded.spans()
    assert attributes(span)["http.response.status_code"] == 200


def test_an_unknown_method_is_other(recorded: Recorded, library: str) -> None:
    ask = served(recorded, library)
    ask("/items/x", "FROB")
    (span,) = recorded.spans()
    assert span.name.startswith("HTTP")
    assert attributes(span)["http.request.method"] == "_OTHER"
    assert attributes(span)["http.request.method_original"] == "FROB"


def test_excluded_urls_and_suppression_record_nothing(
    recorded: Recorded, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"OTEL_PYTHON_{library.upper()}_EXCLUDED_URLS", "health,items/secret")
    ask = served(recorded, library)
    ask("/items/secret")
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        ask("/items/pear")
    finally:
        detach(token)
    assert recorded.spans() == []
    ask("/items/pear")
    assert len(recorded.spans()) == 1


def test_chosen_headers_are_captured(
    recorded: Recorded, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
    monkeypatch.setenv(root + "SERVER_REQUEST", "X-Shop.*,Authorization")
    monkeypatch.setenv(root + "SERVER_RESPONSE", "content-type")
    monkeypatch.setenv(root + "SANITIZE_FIELDS", "authorization")
    ask = served(recorded, library)
    ask("/items/pear", headers={"x-shop-id": "7", "authorization": "Bearer q"})
    (span,) = recorded.spans()
    found = attributes(span)
    assert found["http.request.header.x_shop_id"] == ("7",)
    assert found["http.request.header.authorization"] == ("[REDACTED]",)
    assert "http.response.header.content_type" in found


def test_hooks_are_told_and_may_fail(recorded: Recorded, library: str) -> None:
    told = []

    def hook(span: Any, *_: Any) -> None:
        told.append(span)
        raise ValueError("a user's mistake")

    name = "server_request_hook" if library in ("starlette", "fastapi") else "request_hook"
    ask = served(recorded, library, hooks={name: hook})
    assert ask("/items/pear") == 200
    (span,) = recorded.spans()
    assert [known.get_span_context().span_id for known in told] == [span.context.span_id]


def test_undone_records_nothing(recorded: Recorded, library: str) -> None:
    ask = served(recorded, library)
    recorded.undo()
    assert ask("/items/pear") == 200
    assert recorded.spans() == []


def test_mounted_applications_are_one_request(recorded: Recorded) -> None:
    fastapi = pytest.importorskip("fastapi")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    recorded.instrument("fastapi", fastapi)
    application = fastapi.FastAPI()
    inner = fastapi.FastAPI()
    inner.add_api_route("/deep/{y}", lambda y: y)
    application.mount("/sub", inner)
    plain = Route("/plain/{z}", lambda request: PlainTextResponse("x"))
    application.mount("/old", Starlette(routes=[plain]))
    ask = asgi(application)
    ask("/sub/deep/4")
    ask("/old/plain/5")
    names = [span.name for span in recorded.spans()]
    assert names == ["GET /sub/deep/{y}", "GET /old/plain/{z}"]


def test_fastapi_with_its_own_providers_is_left_to_itself(recorded: Recorded) -> None:
    fastapi = pytest.importorskip("fastapi")
    pytest.importorskip("fastapi.telemetry")
    recorded.instrument("fastapi", fastapi)
    telemetry = {"tracer_provider": recorded.settings.tracer_provider, "operation_spans": False}
    application = fastapi.FastAPI(telemetry=telemetry)
    application.add_api_route("/x", lambda: 1)
    assert asgi(application)("/x") == 200
    (span,) = recorded.spans()
    assert span.instrumentation_scope.name == "fastapi"


def test_an_application_that_contrib_instruments_has_one_span(recorded: Recorded) -> None:
    flask = pytest.importorskip("flask")
    contrib = pytest.importorskip("opentelemetry.instrumentation.flask")
    recorded.instrument("flask", flask)
    recorded.applied.append(adopt(contrib, "FlaskInstrumentor", recorded.undo))
    application = flask.Flask("shop")
    application.add_url_rule("/", "root", lambda: "x")
    told = []
    contrib.FlaskInstrumentor().instrument_app(
        application,
        request_hook=lambda span, environ: told.append(span),
        tracer_provider=recorded.settings.tracer_provider,
        meter_provider=recorded.settings.meter_provider,
    )
    assert wsgi(application)("/") == 200
    (span,) = recorded.spans()
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.flask"
    assert len(told) == 1
    other = flask.Flask("other")
    other.add_url_rule("/", "root", lambda: "x")
    wsgi(other)("/")
    (span,) = recorded.spans()
    assert span.instrumentation_scope.name == "heliograph.instrument.flask"


def test_fastapi_and_starlette_do_not_count_mounts_twice(recorded: Recorded) -> None:
    fastapi = pytest.importorskip("fastapi")
    recorded.instrument("starlette", pytest.importorskip("starlette"))
    recorded.instrument("fastapi", fastapi)
    application = fastapi.FastAPI()
    inner = fastapi.FastAPI()
    inner.add_api_route("/deep/{y}", lambda y: y)
    application.mount("/sub", inner)
    asgi(application)("/sub/deep/4")
    (span,) = recorded.spans()
    assert span.name == "GET /sub/deep/{y}"


def test_werkzeugs_own_server_says_ports_as_numbers(recorded: Recorded) -> None:
    import flask
    from werkzeug.serving import make_server

    recorded.instrument("flask", flask)
    application = flask.Flask("shop")
    application.add_url_rule("/", "root", lambda: "ok")
    server = make_server("127.0.0.1", 0, application)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with urlopen(f"http://127.0.0.1:{server.server_port}/") as answer:
        assert answer.read() == b"ok"
    thread.join()
    server.server_close()
    (span,) = recorded.spans()
    assert isinstance(attributes(span)["network.peer.port"], int)


def test_a_request_that_cannot_be_recorded_is_served(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flask

    ask = flask_application()
    recorded.instrument("flask", flask)
    monkeypatch.setattr(_wsgi, "_attributes", lambda *_: {}["nothing"])
    assert [ask("/items/1"), ask("/items/1")] == [200, 200]
    assert recorded.spans() == []
    assert len(caplog.records) == 1
