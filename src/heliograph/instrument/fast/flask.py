"""Flask: one server span a request, with its route.

Hooks: ``request_hook(span, environ)``, ``response_hook(span, status, headers)``.
Variables: ``OTEL_PYTHON_FLASK_EXCLUDED_URLS``, ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*``.
"""

from importlib import import_module
from typing import Any

from opentelemetry.trace import use_span

from heliograph.instrument.fast import _wsgi
from heliograph.instrument.fast._patch import LEFT, Patches, Settings, told
from heliograph.instrument.fast._server import Exchange, Server


def instrument(flask: Any, settings: Settings) -> Patches:
    """Patch the class, so that applications made before and after are instrumented."""
    server = Server("flask", "FLASK", settings)
    asked = settings.hooks.get("request_hook")
    answered = settings.hooks.get("response_hook")
    patches = Patches()
    request = flask.request

    def tell(exchange: Exchange, status: str, headers: Any) -> None:
        told(answered, exchange.span, status, headers)

    def wsgi_app(original: Any) -> Any:
        def call(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
            exchange = None if hasattr(self, LEFT) else _wsgi.begin(server, environ)
            if exchange is None:
                return original(self, environ, start_response)
            told(asked, exchange.span, environ)
            return _wsgi.serve(
                exchange,
                lambda *arguments: original(self, *arguments),
                environ,
                start_response,
                None if answered is None else tell,
            )

        return call

    def full_dispatch_request(original: Any) -> Any:
        def call(self: Any, *arguments: Any) -> Any:
            asking = request._get_current_object()
            exchange = asking.environ.get(_wsgi.KEY)
            if exchange is None:
                return original(self, *arguments)
            rule = asking.url_rule
            if rule is not None:
                exchange.routed(rule.rule)
            response = original(self, *arguments)
            exchange.streamed = response.is_streamed
            return response

        return call

    def handle_exception(original: Any) -> Any:
        def call(self: Any, *arguments: Any) -> Any:
            exchange = request.environ.get(_wsgi.KEY)
            if exchange is not None:
                exchange.failed(arguments[-1])
            return original(self, *arguments)

        return call

    def log_request(original: Any) -> Any:
        def call(self: Any, *arguments: Any) -> Any:
            exchange = getattr(self, "environ", {}).get(_wsgi.KEY)
            if exchange is None:
                return original(self, *arguments)
            with use_span(exchange.span):
                return original(self, *arguments)

        return call

    # Werkzeug's own server logs a request when its span has ended.
    handler = import_module("werkzeug.serving").WSGIRequestHandler
    patches.replace(handler, "log_request", log_request)
    patches.replace(flask.Flask, "wsgi_app", wsgi_app)
    patches.replace(flask.Flask, "full_dispatch_request", full_dispatch_request)
    patches.replace(flask.Flask, "handle_exception", handle_exception)
    return patches
