"""Serving a WSGI request: environ in, spans out."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opentelemetry import trace

from heliograph.instrument.fast._http import place, public_query
from heliograph.instrument.fast._patch import LEFT, fenced
from heliograph.instrument.fast._server import Exchange, Server, current

KEY = "heliograph.exchange"
"""Where a request's environ has its `Exchange`."""

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


@fenced
def begin(server: Server, environ: Environ) -> Exchange | None:
    """Begin a request, or return None where it is not to be recorded."""
    context = current(server)
    if context is None or KEY in environ or LEFT in environ:
        return None
    get = environ.get
    scheme = get("wsgi.url_scheme") or "http"
    path = get("PATH_INFO") or "/"
    if server.excluded is not None and server.excluded(_url(environ, scheme, path)):
        return None
    attributes = _attributes(environ, scheme, path)
    if server.request_headers:
        attributes |= server.request_headers.attributes(_headers(environ))
    carrier = {}
    for name in server.fields:
        value = get("HTTP_" + name.upper().replace("-", "_"))
        if value is not None:
            carrier[name] = value
    exchange = server.begin(context, carrier, get("REQUEST_METHOD", ""), attributes)
    environ[KEY] = exchange
    return exchange


def _url(environ: Environ, scheme: str, path: str) -> str:
    get = environ.get
    authority = get("HTTP_HOST") or f"{get('SERVER_NAME', '')}:{get('SERVER_PORT', '')}"
    query = get("QUERY_STRING")
    return f"{scheme}://{authority}{get('SCRIPT_NAME', '')}{path}{'?' + query if query else ''}"


def _attributes(environ: Environ, scheme: str, path: str) -> dict[str, Any]:
    get = environ.get
    attributes: dict[str, Any] = {"url.scheme": scheme, "url.path": get("SCRIPT_NAME", "") + path}
    query = get("QUERY_STRING")
    if query:
        attributes["url.query"] = public_query(query)
    host = get("HTTP_HOST")
    address, port = (
        place(host, scheme) if host else (get("SERVER_NAME"), _number(get("SERVER_PORT")))
    )
    if address:
        attributes["server.address"] = address
        if port is not None:
            attributes["server.port"] = port
    _peer(attributes, environ)
    agent = get("HTTP_USER_AGENT")
    if agent:
        attributes["user_agent.original"] = agent
    protocol = get("SERVER_PROTOCOL", "")
    if protocol.startswith("HTTP/"):
        attributes["network.protocol.version"] = protocol[5:]
    return attributes


def _peer(attributes: dict[str, Any], environ: Environ) -> None:
    peer = environ.get("REMOTE_ADDR")
    if peer:
        attributes["client.address"] = attributes["network.peer.address"] = peer
        port = _number(environ.get("REMOTE_PORT"))
        if port is not None:
            attributes["network.peer.port"] = port


def serve(
    exchange: Exchange,
    application: Application,
    environ: Environ,
    start_response: Callable[..., Any],
    answered: Callable[[Exchange, str, Any], None] | None,
) -> Iterable[bytes]:
    """Call the application; the request ends with its answer, a streamed one when it is closed.

    Args:
        answered: told of status and headers before they go out.
    """

    def starting(status: str, headers: Any, *more: Any) -> Any:
        exchange.responded(int(status[:3]), lambda: headers)
        if answered is not None:
            answered(exchange, status, headers)
        return start_response(status, headers, *more)

    try:
        body = application(environ, starting)
    except BaseException as error:
        exchange.failed(error)
        exchange.end()
        raise
    finally:
        exchange.leave()
    if exchange.streamed:
        return Streamed(body, exchange)
    exchange.end()
    return body


class Streamed:
    """An answer whose parts are made while the request's span is the current one."""

    __slots__ = ("_body", "_exchange", "_parts")

    def __init__(self, body: Iterable[bytes], exchange: Exchange) -> None:
        self._body = body
        self._exchange = exchange
        self._parts = iter(body)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with trace.use_span(
            self._exchange.span, record_exception=False, set_status_on_exception=False
        ):
            try:
                return next(self._parts)
            except StopIteration:
                raise
            except BaseException as error:
                self._exchange.failed(error)
                raise

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._exchange.end()


def _number(given: str | int | None) -> int | None:
    """Read a port; Werkzeug's server says the peer's as a number."""
    if isinstance(given, str):
        return int(given) if given.isdigit() else None
    return given


def _headers(environ: Environ) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key[5:].replace("_", "-").lower(), value
