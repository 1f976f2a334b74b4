"""requests: one span a request, its redirects included, none of urllib3 beneath.

Hooks: ``request_hook(span, request)``, ``response_hook(span, request, response)``.
Variables: ``OTEL_PYTHON_REQUESTS_EXCLUDED_URLS``, ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*``.
"""

from typing import Any

from heliograph.instrument.fast._client import Client, items
from heliograph.instrument.fast._context import HttpSuppressed
from heliograph.instrument.fast._patch import Patches, Settings, told

_VERSIONS = {10: "1.0", 11: "1.1", 20: "2"}


def instrument(requests: Any, settings: Settings) -> Patches:
    """Patch the session's class."""
    client = Client("requests", "REQUESTS", settings)
    asked = settings.hooks.get("request_hook")
    answered = settings.hooks.get("response_hook")
    patches = Patches()

    def send(original: Any) -> Any:
        def call(self: Any, request: Any, **options: Any) -> Any:
            method = (request.method or "").strip()
            begun = client.begin(method, request.url, items(request.headers))
            if begun is None:
                return original(self, request, **options)
            if request.headers is None:
                request.headers = requests.structures.CaseInsensitiveDict()
            told(asked, begun.span, request)
            begun.inject(request.headers)
            try:
                with HttpSuppressed():
                    response = original(self, request, **options)
            except BaseException as error:
                begun.end(error)
                raise
            version = _VERSIONS.get(getattr(response.raw, "version", 0))
            begun.responded(response.status_code, version, items(response.headers))
            told(answered, begun.span, request, response)
            begun.end()
            return response

        return call

    patches.replace(requests.Session, "send", send)
    return patches
