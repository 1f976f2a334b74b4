"""What the instrumentations of HTTP servers share: one span and two metrics a request.

Spec: semantic conventions, HTTP server spans and metrics (stable).
"""

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

from opentelemetry import metrics, propagate, trace
from opentelemetry.context import get_current
from opentelemetry.context.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, StatusCode

from heliograph._core import VERSION
from heliograph.instrument.fast._context import suppressed
from heliograph.instrument.fast._http import (
    BUCKETS,
    SCHEMA,
    Headers,
    error_name,
    known_methods,
    url_filter,
)
from heliograph.instrument.fast._patch import Settings

_SERIES = 2000
"""Attribute sets that are remembered; more than a metric keeps anyway."""


class _Plain(Getter[Mapping[str, str]]):
    """Reads headers whose names are in lower case."""

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(key.lower())
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)


class Server:
    """Begins a span and a measurement for each request that one library serves.

    Args:
        library: its name, in the scope's name.
        variable: its name in ``OTEL_PYTHON_*_EXCLUDED_URLS``.
    """

    def __init__(self, library: str, variable: str, settings: Settings) -> None:
        scope = f"heliograph.instrument.{library}"
        self.tracer = trace.get_tracer(scope, VERSION, settings.tracer_provider, SCHEMA)
        meter = metrics.get_meter(scope, VERSION, settings.meter_provider, SCHEMA)
        self.duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self.active = meter.create_up_down_counter(
            "http.server.active_requests",
            unit="{request}",
            description="Number of active HTTP server requests.",
        )
        self.excluded = url_filter(variable, settings.excluded_urls)
        self.methods = known_methods()
        self.request_headers = Headers("SERVER_REQUEST", "http.request.header")
        self.response_headers = Headers("SERVER_RESPONSE", "http.response.header")
        self.fields = sorted(name.lower() for name in propagate.get_global_textmap().fields)
        self.wanted = frozenset(self.fields)
        self._serving: dict[tuple[str, str], dict[str, str]] = {}
        self._served: dict[tuple[object, ...], dict[str, Any]] = {}

    def begin(
        self,
        context: Context,
        carrier: Mapping[str, str],
        method: str,
        attributes: dict[str, Any],
    ) -> "Exchange":
        """Begin a request and make its span the current one.

        Args:
            context: the current one.
            carrier: headers that may hold the caller's context, names in lower case.
            method: as sent.
            attributes: of the span; ``url.scheme`` and ``network.protocol.version`` are read.
        """
        if method in self.methods:
            name = label = method
        else:
            name, label = "HTTP", "_OTHER"
            attributes["http.request.method_original"] = method
        attributes["http.request.method"] = label
        parent: Context | None = None
        kind = SpanKind.SERVER
        if context and trace.get_current_span(context).get_span_context().is_valid:
            kind = SpanKind.INTERNAL
        elif carrier:
            parent = propagate.extract(carrier, context, _PLAIN)
        return Exchange(self, name, label, kind, parent, attributes)

    def serving(self, method: str, scheme: str) -> dict[str, str]:
        """Return the attributes of requests that are being served."""
        key = (method, scheme)
        known = self._serving.get(key)
        if known is None:
            known = {"http.request.method": method, "url.scheme": scheme}
            if len(self._serving) < _SERIES:
                self._serving[key] = known
        return known

    def served(
        self,
        method: str,
        scheme: str,
        protocol: str | None,
        status: int | None,
        route: str | None,
        error: str | None,
    ) -> dict[str, Any]:
        """Return the attributes of a request's duration."""
        key = (method, scheme, protocol, status, route, error)
        known = self._served.get(key)
        if known is None:
            known = {"http.request.method": method, "url.scheme": scheme}
            if protocol:
                known["network.protocol.version"] = protocol
            if status is not None:
                known["http.response.status_code"] = status
            if route is not None:
                known["http.route"] = route
            if error is not None:
                known["error.type"] = error
            if len(self._served) < _SERIES:
                self._served[key] = known
        return known


_PLAIN = _Plain()


def current(server: Server) -> Context | None:
    """Return the current context, or None where nothing is to be recorded."""
    context = get_current()
    return None if suppressed(context) else context


class Exchange:
    """One request that is served, from its begin to its end."""

    __slots__ = (
        "_entered",
        "_label",
        "_method",
        "_open",
        "_protocol",
        "_scheme",
        "_serving",
        "_started",
        "error",
        "fixed",
        "prefix",
        "route",
        "server",
        "span",
        "status",
        "streamed",
    )

    def __init__(
        self,
        server: Server,
        method: str,
        label: str,
        kind: SpanKind,
        parent: Context | None,
        attributes: dict[str, Any],
    ) -> None:
        self.server = server
        self._open = True
        self._method = method
        self._label = label
        self._scheme: str = attributes.get("url.scheme", "http")
        self._protocol: str | None = attributes.get("network.protocol.version")
        self.route: str | None = None
        self.prefix = ""
        self.fixed = False
        self.streamed = False
        self.status: int | None = None
        self.error: str | None = None
        self._serving = server.serving(label, self._scheme)
        server.active.add(1, self._serving)
        self._entered = server.tracer.start_as_current_span(
            method,
            parent,
            kind,
            attributes,
            end_on_exit=False,
            record_exception=False,
            set_status_on_exception=False,
        )
        self.span = self._entered.__enter__()
        self._started = perf_counter()

    def routed(self, route: str) -> None:
        """Name the route that serves the request."""
        self.route = route
        self.span.set_attribute("http.route", route)
        self.span.update_name(f"{self._method} {route}")

    def responded(self, status: int, headers: Callable[[], Iterable[tuple[str, str]]]) -> None:
        """Note the answer's status, and the headers where they are wanted."""
        self.status = status
        span = self.span
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            if self.error is None:
                self.error = str(status)
                span.set_attribute("error.type", self.error)
            span.set_status(StatusCode.ERROR)
        if self.server.response_headers and span.is_recording():
            span.set_attributes(self.server.response_headers.attributes(headers()))

    def failed(self, error: BaseException) -> None:
        """Note an exception that nobody handled, while the request lasts."""
        if not self._open:
            return
        span = self.span
        self.error = error_name(error)
        span.record_exception(error)
        span.set_attribute("error.type", self.error)
        span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")

    def end(self) -> None:
        """End span and measurement; only the first time counts."""
        if not self._open:
            return
        self._open = False
        server = self.server
        duration = perf_counter() - self._started
        attributes = server.served(
            self._label, self._scheme, self._protocol, self.status, self.route, self.error
        )
        server.duration.record(duration, attributes, trace.set_span_in_context(self.span))
        server.active.add(-1, self._serving)
        self.span.end()

    def leave(self) -> None:
        """Make the span that was current before the current one again."""
        self._entered.__exit__(None, None, None)
