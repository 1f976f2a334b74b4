"""Send over OTLP/HTTP, to a collector or any backend that speaks it.

YAML: ``exporters: otlphttp`` (also ``otlp_http``), any signal. Fields: `Config`.
Each signal goes to ``endpoint`` + ``/v1/traces``, ``/v1/metrics``, ``/v1/logs`` or
``/v1development/profiles``, or to its own endpoint as it is written. Connections are kept and
used again; HTTP/2 where the server offers it under TLS. 429, 502, 503, 504 and network errors are
tried again, after ``Retry-After`` where given; everything else is final.
Source: the Collector's otlphttpexporter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from heliograph._core import HttpClient
from heliograph.errors import Problem
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Settings
from heliograph.pipeline.delivery import DeliveryConfig
from heliograph.pipeline.edge_client import Sender, authenticator, build
from heliograph.pipeline.fields import Duration, Field
from heliograph.pipeline.net_client import HttpClientConfig, bare

_PATHS = {
    Signal.TRACES: ("traces_endpoint", "/v1/traces"),
    Signal.METRICS: ("metrics_endpoint", "/v1/metrics"),
    Signal.LOGS: ("logs_endpoint", "/v1/logs"),
    Signal.PROFILES: ("profiles_endpoint", "/v1development/profiles"),
}


class Config(DeliveryConfig, HttpClientConfig):
    timeout: Duration = Field("30s", ge=0, description="Bound of one attempt; 0 for none.")
    encoding: Literal["proto", "json"] = Field("proto", description="Form of the requests.")
    traces_endpoint: str = Field("", description="Whole URL for traces.")
    metrics_endpoint: str = Field("", description="Whole URL for metrics.")
    logs_endpoint: str = Field("", description="Whole URL for logs.")
    profiles_endpoint: str = Field("", description="Whole URL for profiles.")

    def check(self) -> Iterator[Problem]:
        yield from super().check()
        options = ["endpoint", *(option for option, _ in _PATHS.values())]
        written = {option: getattr(self, option) for option in options if getattr(self, option)}
        if not written:
            yield Problem("endpoint", "is missing", fix="write http://host:4318")
        for option, url in written.items():
            if not _is_url(url):
                fix = f"write http://{url.split('://')[-1]}"
                yield Problem(option, f"is '{url}', not a URL", fix=fix)

    @property
    def urls(self) -> Mapping[Signal, str]:
        """Where each signal goes; a signal without an endpoint is not here."""
        base = self.endpoint.rstrip("/")
        urls = {
            signal: getattr(self, option) or (base and base + path)
            for signal, (option, path) in _PATHS.items()
        }
        return {signal: url for signal, url in urls.items() if url}


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


class Exporter:
    """Shell around the core's HTTP client."""

    signals: ClassVar[frozenset[Signal]] = frozenset(_PATHS)

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._sender: Sender | None = None

    async def start(self) -> None:
        config, written = self._config, self._config.urls
        urls = {signal: bare(url) for signal, url in written.items()}
        where = {signal: urls.get(signal, f"no {option}") for signal, (option, _) in _PATHS.items()}
        native = config.native(*written.values()) | {
            "urls": tuple(urls.get(signal) for signal in _PATHS),
            "json": config.encoding == "json",
        }
        self._sender = Sender(
            build(lambda: HttpClient(self._settings.edge.events, native)),
            self._settings,
            where=where,
            timeout=config.timeout,
            auth=authenticator(config, self._settings),
        )

    async def consume(self, batch: Batch) -> int:
        assert self._sender is not None
        return await self._sender.send(batch) if batch.items else 0

    async def stop(self) -> None:
        """Connections close with the last reference to the client."""
        self._sender = None
