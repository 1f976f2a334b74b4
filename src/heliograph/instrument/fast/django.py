"""Django: one server span a request, with its route, under WSGI and ASGI.

Hooks: ``request_hook(span, request)``, ``response_hook(span, request, response)``.
Variables: ``OTEL_PYTHON_DJANGO_EXCLUDED_URLS``, ``OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS``,
``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*``; ``OTEL_PYTHON_DJANGO_INSTRUMENT=False`` for none.
"""

import os
from importlib import import_module
from typing import Any

from heliograph.instrument.fast import _asgi, _wsgi
from heliograph.instrument.fast._patch import Patches, Settings, told
from heliograph.instrument.fast._server import Exchange, Server


def instrument(django: Any, settings: Settings) -> Patches:
    """Patch the handlers' classes."""
    patches = Patches()
    if os.environ.get("OTEL_PYTHON_DJANGO_INSTRUMENT", "").strip().lower() == "false":
        return patches
    server = Server("django", "DJANGO", settings)
    traced = os.environ.get("OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS", "").split(",")
    told_of = _Requests(settings, [name.strip() for name in traced if name.strip()])

    def wsgi(original: Any) -> Any:
        def call(self: Any, environ: Any, start_response: Any) -> Any:
            exchange = _wsgi.begin(server, environ)
            if exchange is None:
                return original(self, environ, start_response)
            return _wsgi.serve(
                exchange,
                lambda *arguments: original(self, *arguments),
                environ,
                start_response,
                None,
            )

        return call

    def asgi(original: Any) -> Any:
        async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
            exchange = _asgi.begin(server, scope)
            if exchange is None:
                await original(self, scope, receive, send)
                return
            await _asgi.serve(
                exchange, lambda *arguments: original(self, *arguments), scope, receive, send
            )

        return call

    base = import_module("django.core.handlers.base").BaseHandler
    exceptions = import_module("django.core.handlers.exception")
    patches.replace(import_module("django.core.handlers.wsgi").WSGIHandler, "__call__", wsgi)
    patches.replace(import_module("django.core.handlers.asgi").ASGIHandler, "__call__", asgi)
    patches.replace(base, "get_response", told_of.plain)
    patches.replace(base, "get_response_async", told_of.awaited)
    patches.replace(base, "resolve_request", _resolved)
    patches.replace(exceptions, "handle_uncaught_exception", _uncaught)
    return patches


class _Requests:
    """What is told about requests once Django has made them."""

    def __init__(self, settings: Settings, traced: list[str]) -> None:
        self._asked = settings.hooks.get("request_hook")
        self._answered = settings.hooks.get("response_hook")
        self._traced = traced

    def _begin(self, request: Any) -> Exchange | None:
        exchange = _exchange(request)
        if exchange is not None:
            for name in self._traced:
                value = getattr(request, name, None)
                if value is not None:
                    exchange.span.set_attribute(name, str(value))
            told(self._asked, exchange.span, request)
        return exchange

    def _end(self, exchange: Exchange | None, request: Any, response: Any) -> Any:
        if exchange is not None:
            exchange.streamed = bool(response.streaming)
            told(self._answered, exchange.span, request, response)
        return response

    def plain(self, original: Any) -> Any:
        def call(handler: Any, request: Any) -> Any:
            exchange = self._begin(request)
            return self._end(exchange, request, original(handler, request))

        return call

    def awaited(self, original: Any) -> Any:
        async def call(handler: Any, request: Any) -> Any:
            exchange = self._begin(request)
            response = await original(handler, request)
            if exchange is not None:
                told(self._answered, exchange.span, request, response)
            return response

        return call


def _exchange(request: Any) -> Exchange | None:
    found = getattr(request, "environ", None)
    exchange: Exchange | None = (
        found.get(_wsgi.KEY) if found is not None else getattr(request, "scope", {}).get(_asgi.KEY)
    )
    return exchange


def _resolved(original: Any) -> Any:
    def call(handler: Any, request: Any) -> Any:
        match = original(handler, request)
        exchange = _exchange(request)
        if exchange is not None and match.route:
            exchange.routed(match.route)
        return match

    return call


def _uncaught(original: Any) -> Any:
    def call(request: Any, resolver: Any, information: Any) -> Any:
        exchange = _exchange(request)
        if exchange is not None:
            exchange.failed(information[1])
        return original(request, resolver, information)

    return call
