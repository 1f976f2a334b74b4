"""FastAPI: one server span a request, with its route.

An application that was given its own ``telemetry`` providers keeps FastAPI's spans instead.

Hooks: ``server_request_hook(span, scope)``, ``client_response_hook(span, scope, message)``.
Variables: ``OTEL_PYTHON_FASTAPI_EXCLUDED_URLS``, ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*``.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from heliograph.instrument.fast import _asgi, starlette
from heliograph.instrument.fast._patch import Patches, Settings
from heliograph.instrument.fast._server import Exchange, Server

_PROVIDERS = ("tracer_provider", "meter_provider", "logger_provider")


def instrument(fastapi: Any, settings: Settings) -> Patches:
    """Patch Starlette's class beneath, and take the place of FastAPI's own telemetry."""
    patches = Patches()
    server = Server("fastapi", "FASTAPI", settings)
    starlette.serve(patches, import_module("starlette"), server, settings)
    routing = import_module("fastapi.routing")
    if "handle" in vars(routing.APIRoute):
        patches.replace(routing.APIRoute, "handle", _handled)
    if find_spec("fastapi.telemetry") is not None:
        native = import_module("fastapi.telemetry._asgi").NativeTelemetry
        patches.replace(native, "enabled", _enabled)
    if hasattr(routing, "_route_selected"):
        patches.replace(routing, "_route_selected", _selected)
    return patches


def _enabled(original: Any) -> Any:
    def call(self: Any) -> Any:
        return any(self.config.get(name) for name in _PROVIDERS) and original(self)

    return call


def _handled(original: Any) -> Any:
    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        exchange: Exchange | None = scope.get(_asgi.KEY)
        if exchange is not None and not exchange.fixed:
            exchange.routed(exchange.prefix + self.path)
            exchange.fixed = True
        await original(self, scope, receive, send)

    return call


def _selected(original: Any) -> Any:
    def call(*, scope: Any, path: str | None, mount: bool = False) -> None:
        exchange: Exchange | None = scope.get(_asgi.KEY)
        if exchange is not None and path is not None and not mount:
            exchange.routed(exchange.prefix + path)
            exchange.fixed = True
        original(scope=scope, path=path, mount=mount)

    return call
