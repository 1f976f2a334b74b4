"""Serving an ASGI request: scope in, one span out, also for WebSockets."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from heliograph.instrument.fast._http import place, public_query
from heliograph.instrument.fast._patch import LEFT, Hook, fenced, told
from heliograph.instrument.fast._server import Exchange, Server, current

KEY = "heliograph.exchange"
"""Where a request's scope has its `Exchange`."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_PLACES = {"host", "user-agent"}


@fenced
def begin(server: Server, scope: Scope) -> Exchange | None:
    """Begin a request, or return None where it is not to be recorded."""
    if scope["type"] not in ("http", "websocket") or KEY in scope or LEFT in scope:
        return None
    context = current(server)
    if context is None:
        return None
    get = scope.get
    websocket = scope["type"] == "websocket"
    scheme = get("scheme") or ("ws" if websocket else "http")
    path = get("path") or "/"
    query = (get("query_string") or b"").decode("latin-1")
    found = _wanted(server, get("headers") or ())
    host = found.pop("host", None)
    agent = found.pop("user-agent", None)
    listening = get("server")
    if server.excluded is not None:
        authority = host or ":".join(map(str, listening or ()))
        if server.excluded(f"{scheme}://{authority}{path}{'?' if query else ''}{query}"):
            return None
    attributes: dict[str, Any] = {"url.scheme": scheme, "url.path": path}
    if query:
        attributes["url.query"] = public_query(query)
    address, port = place(host, scheme) if host else listening or (None, None)
    if address:
        attributes["server.address"] = address
        if port is not None:
            attributes["server.port"] = port
    _peer(attributes, scope)
    if agent:
        attributes["user_agent.original"] = agent
    version = get("http_version")
    if version:
        attributes["network.protocol.version"] = version
    if server.request_headers:
        attributes |= server.request_headers.attributes(_headers(scope))
    exchange = server.begin(context, found, get("method") or "GET", attributes)
    scope[KEY] = exchange
    return exchange


def _wanted(server: Server, headers: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1").lower()
        if name in server.wanted or name in _PLACES:
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
    return found


def _peer(attributes: dict[str, Any], scope: Scope) -> None:
    peer = scope.get("client")
    if peer:
        attributes["client.address"] = attributes["network.peer.address"] = peer[0]
        attributes["network.peer.port"] = peer[1]


async def serve(
    exchange: Exchange,
    application: Application,
    scope: Scope,
    receive: Receive,
    send: Send,
    answered: Hook | None = None,
) -> None:
    """Call the application; the request ends with the last part of its answer.

    One that failed ends when the application returns: Starlette raises after it has answered.

    Args:
        answered: told of span, scope and each message that goes out.
    """

    async def sending(message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            exchange.streamed = bool(message.get("trailers"))
            exchange.responded(message["status"], lambda: _headers(message))
        if answered is not None:
            told(answered, exchange.span, scope, message)
        await send(message)
        if (exchange.status or 0) < 500 and _is_last(message, exchange.streamed):
            exchange.end()

    try:
        await application(scope, receive, sending)
    except BaseException as error:
        if isinstance(error, Exception):
            exchange.failed(error)
        raise
    finally:
        exchange.end()
        exchange.leave()


def _is_last(message: Message, with_trailers: bool) -> bool:
    if with_trailers:
        return message["type"] == "http.response.trailers" and not message.get("more_trailers")
    return message["type"] == "http.response.body" and not message.get("more_body")


def _headers(message: MutableMapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in message.get("headers") or ():
        yield name.decode("latin-1").lower(), value.decode("latin-1")
