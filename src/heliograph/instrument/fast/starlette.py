"""Starlette and what is built on it: one server span a request, with its route.

Hooks: ``server_request_hook(span, scope)``, ``client_response_hook(span, scope, message)``.
Variables: ``OTEL_PYTHON_STARLETTE_EXCLUDED_URLS``,
``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*``.
"""

from importlib import import_module
from typing import Any

from heliograph.instrument.fast import _asgi
from heliograph.instrument.fast._patch import LEFT, Patches, Settings, told
from heliograph.instrument.fast._server import Exchange, Server


def instrument(starlette: Any, settings: Settings) -> Patches:
    """Patch the class, so that applications made before and after are instrumented."""
    patches = Patches()
    serve(patches, starlette, Server("starlette", "STARLETTE", settings), settings)
    return patches


def serve(patches: Patches, starlette: Any, server: Server, settings: Settings) -> None:
    """Have applications begin requests, and routes name themselves to them."""
    asked = settings.hooks.get("server_request_hook")
    answered = settings.hooks.get("client_response_hook")

    def called(original: Any) -> Any:
        async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
            if hasattr(self, LEFT) or scope.get("fastapi.telemetry") is not None:
                await original(self, scope, receive, send)
                return
            exchange = _asgi.begin(server, scope)
            if exchange is None:
                await original(self, scope, receive, send)
                return
            told(asked, exchange.span, scope)
            await _asgi.serve(
                exchange,
                lambda *arguments: original(self, *arguments),
                scope,
                receive,
                send,
                answered,
            )

        return call

    def handled(original: Any) -> Any:
        async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
            exchange: Exchange | None = scope.get(_asgi.KEY)
            if exchange is not None and exchange.server is server and not exchange.fixed:
                exchange.routed(exchange.prefix + self.path)
            await original(self, scope, receive, send)

        return call

    def mounted(original: Any) -> Any:
        async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
            exchange: Exchange | None = scope.get(_asgi.KEY)
            if exchange is not None and exchange.server is server:
                exchange.prefix += self.path
            await original(self, scope, receive, send)

        return call

    routing = import_module("starlette.routing")
    patches.replace(import_module("starlette.applications").Starlette, "__call__", called)
    patches.replace(routing.Route, "handle", handled)
    patches.replace(routing.WebSocketRoute, "handle", handled)
    patches.replace(routing.Mount, "handle", mounted)
