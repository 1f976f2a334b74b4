"""urllib3: one span a request, where no library above has one.

Hooks: ``request_hook(span, pool, info)`` with method, url, headers and body in ``info``,
``response_hook(span, pool, response)``.
Variables: ``OTEL_PYTHON_URLLIB3_EXCLUDED_URLS``, ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*``.
"""

from inspect import signature
from typing import Any, NamedTuple

from heliograph.instrument.fast._client import Client, items
from heliograph.instrument.fast._context import HttpSuppressed
from heliograph.instrument.fast._patch import Patches, Settings, told

_VERSIONS = {10: "1.0", 11: "1.1", 20: "2"}
_PORTS = {"http": 80, "https": 443}


class RequestInfo(NamedTuple):
    """What a request hook is told."""

    method: str
    url: str
    headers: Any
    body: Any


def instrument(urllib3: Any, settings: Settings) -> Patches:
    """Patch the connection pool's class."""
    client = Client("urllib3", "URLLIB3", settings)
    asked = settings.hooks.get("request_hook")
    answered = settings.hooks.get("response_hook")
    patches = Patches()

    def urlopen(original: Any) -> Any:
        bind = signature(original).bind

        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            bound = bind(self, *arguments, **options)
            given = bound.arguments
            method, url, headers = given["method"], _full(self, given["url"]), given.get("headers")
            begun = client.begin(method.upper(), url, items(headers))
            if begun is None:
                return original(self, *arguments, **options)
            headers = dict(self.headers if headers is None else headers)
            told(asked, begun.span, self, RequestInfo(method, url, headers, given.get("body")))
            begun.inject(headers)
            given["headers"] = headers
            try:
                with HttpSuppressed():
                    response = original(*bound.args, **bound.kwargs)
            except BaseException as error:
                begun.end(error)
                raise
            version = _VERSIONS.get(getattr(response, "version", 0))
            begun.responded(response.status, version, items(response.headers))
            told(answered, begun.span, self, response)
            begun.end()
            return response

        return call

    patches.replace(urllib3.connectionpool.HTTPConnectionPool, "urlopen", urlopen)
    return patches


def _full(pool: Any, url: str) -> str:
    if not url.startswith("/"):
        return url
    standard = _PORTS.get(pool.scheme) == pool.port
    port = "" if standard or pool.port is None else f":{pool.port}"
    return f"{pool.scheme}://{pool.host}{port}{url}"
