"""httpx: one span a request and redirect, synchronous and asynchronous.

Hooks: ``request_hook(span, request)``, ``response_hook(span, request, response)`` with httpx's own
objects; ``async_request_hook`` and ``async_response_hook`` are awaited.
Variables: ``OTEL_PYTHON_HTTPX_EXCLUDED_URLS``, ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*``.
"""

from typing import Any

from heliograph.instrument.fast._client import Client, Request
from heliograph.instrument.fast._context import HttpSuppressed
from heliograph.instrument.fast._patch import Patches, Settings, told


def instrument(httpx: Any, settings: Settings) -> Patches:
    """Patch the transports' classes."""
    client = Client(httpx.__name__, httpx.__name__.upper(), settings)
    hooks = settings.hooks
    patches = Patches()

    def handle_request(original: Any) -> Any:
        def call(self: Any, request: Any) -> Any:
            begun = _begin(client, request)
            if begun is None:
                return original(self, request)
            told(hooks.get("request_hook"), begun.span, request)
            begun.inject(request.headers)
            try:
                with HttpSuppressed():
                    response = original(self, request)
            except BaseException as error:
                begun.end(error)
                raise
            _responded(begun, response)
            told(hooks.get("response_hook"), begun.span, request, response)
            begun.end()
            return response

        return call

    def handle_async_request(original: Any) -> Any:
        async def call(self: Any, request: Any) -> Any:
            begun = _begin(client, request)
            if begun is None:
                return await original(self, request)
            await _told(hooks.get("async_request_hook"), begun.span, request)
            begun.inject(request.headers)
            try:
                with HttpSuppressed():
                    response = await original(self, request)
            except BaseException as error:
                begun.end(error)
                raise
            _responded(begun, response)
            await _told(hooks.get("async_response_hook"), begun.span, request, response)
            begun.end()
            return response

        return call

    patches.replace(httpx.HTTPTransport, "handle_request", handle_request)
    patches.replace(httpx.AsyncHTTPTransport, "handle_async_request", handle_async_request)
    return patches


def _begin(client: Client, request: Any) -> Request | None:
    return client.begin(request.method, str(request.url), request.headers.items())


def _responded(begun: Request, response: Any) -> None:
    version = response.extensions.get("http_version", b"")
    protocol = version.decode("ascii", "replace").removeprefix("HTTP/") or None
    begun.responded(response.status_code, protocol, response.headers.items())


async def _told(hook: Any, *arguments: Any) -> None:
    awaitable: list[Any] = []
    told(hook and (lambda *given: awaitable.append(hook(*given))), *arguments)
    for waiting in awaitable:
        await waiting
