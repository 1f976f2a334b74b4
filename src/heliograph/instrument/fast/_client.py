"""What the instrumentations of HTTP clients share: one span and one measurement a request.

Spec: semantic conventions, HTTP client spans and metrics (stable).
"""

from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import metrics, propagate, trace
from opentelemetry.context import get_current
from opentelemetry.propagators.textmap import Setter, default_setter
from opentelemetry.trace import SpanKind, StatusCode

from heliograph._core import VERSION
from heliograph.instrument.fast._context import http_suppressed
from heliograph.instrument.fast._http import (
    BUCKETS,
    SCHEMA,
    Headers,
    error_name,
    known_methods,
    public_url,
    url_filter,
)
from heliograph.instrument.fast._patch import Settings, fenced

_PORTS = {"http": 80, "https": 443}


class Client:
    """Begins a span and a measurement for each request that one library sends.

    Args:
        library: its name, in the scope's name.
        variable: its name in ``OTEL_PYTHON_*_EXCLUDED_URLS``.
    """

    def __init__(self, library: str, variable: str, settings: Settings) -> None:
        scope = f"heliograph.instrument.{library}"
        self.tracer = trace.get_tracer(scope, VERSION, settings.tracer_provider, SCHEMA)
        meter = metrics.get_meter(scope, VERSION, settings.meter_provider, SCHEMA)
        self.duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self.excluded = url_filter(variable, settings.excluded_urls)
        self.methods = known_methods()
        self.request_headers = Headers("CLIENT_REQUEST", "http.request.header")
        self.response_headers = Headers("CLIENT_RESPONSE", "http.response.header")

    @fenced
    def begin(self, method: str, url: str, headers: Iterable[tuple[str, str]]) -> "Request | None":
        """Begin a request, or return None where it is not to be recorded."""
        if http_suppressed(get_current()):
            return None
        if self.excluded is not None and self.excluded(url):
            return None
        attributes: dict[str, Any] = {}
        if method in self.methods:
            name = label = method
        else:
            name, label = "HTTP", "_OTHER"
            attributes["http.request.method_original"] = method
        address, port = _place(url)
        attributes["http.request.method"] = label
        attributes["url.full"] = public_url(url)
        measured: dict[str, Any] = {"http.request.method": label}
        if address:
            attributes["server.address"] = measured["server.address"] = address
            if port is not None:
                attributes["server.port"] = measured["server.port"] = port
        if self.request_headers:
            attributes |= self.request_headers.attributes(headers)
        return Request(self, name, attributes, measured)


@lru_cache(maxsize=512)
def _place(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None, None


class Request:
    """One request that is sent; its span is the current one until `end`."""

    __slots__ = ("_client", "_entered", "_measured", "_started", "span")

    def __init__(
        self, client: Client, name: str, attributes: dict[str, Any], measured: dict[str, Any]
    ) -> None:
        self._client = client
        self._measured = measured
        self._entered = client.tracer.start_as_current_span(
            name,
            None,
            SpanKind.CLIENT,
            attributes,
            end_on_exit=False,
            record_exception=False,
            set_status_on_exception=False,
        )
        self.span = self._entered.__enter__()
        self._started = perf_counter()

    def inject(self, headers: Any, setter: Setter[Any] = default_setter) -> None:
        """Put the context into the headers that are sent."""
        propagate.inject(headers, setter=setter)

    def responded(
        self, status: int, protocol: str | None, headers: Iterable[tuple[str, str]]
    ) -> None:
        """Note the answer."""
        span, measured = self.span, self._measured
        measured["http.response.status_code"] = status
        span.set_attribute("http.response.status_code", status)
        if protocol:
            measured["network.protocol.version"] = protocol
            span.set_attribute("network.protocol.version", protocol)
        if status >= 400:
            measured["error.type"] = str(status)
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        if self._client.response_headers:
            span.set_attributes(self._client.response_headers.attributes(headers))

    def end(self, error: BaseException | None = None) -> None:
        """End span and measurement, and make the span that was current before so again."""
        duration = perf_counter() - self._started
        span = self.span
        if error is not None:
            name = error_name(error)
            self._measured["error.type"] = name
            span.set_attribute("error.type", name)
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self._client.duration.record(duration, self._measured)
        self._entered.__exit__(None, None, None)
        span.end()


def items(headers: MutableMapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    """Yield headers as text."""
    for name, value in (headers or {}).items():
        yield _text(name), _text(value)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
