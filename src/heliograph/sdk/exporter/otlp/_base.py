"""What the OTLP exporters of all signals have in common, by what carries them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

from heliograph._core import Batch, GrpcClient, HttpClient
from heliograph.sdk._self_metrics import Component, Reading, observe
from heliograph.sdk.exporter.otlp._sender import CONCURRENCY, Sender
from heliograph.sdk.exporter.otlp._session import SessionClient
from heliograph.sdk.exporter.otlp._settings import (
    GRPC_REQUEST,
    HTTP_REQUEST,
    Headers,
    grpc_settings,
    http_settings,
)

_log = logging.getLogger("heliograph.sdk.exporter")


class Carrier(Protocol):
    """Takes batches somewhere, and counts their items."""

    exported: int
    rejected: int
    failed: int
    failures: Counter[str]
    inflight: int
    own: Component
    trouble: str

    def send(self, batch: Batch, timeout: float | None = None) -> bool:
        """Return whether the batch was taken within so many seconds."""

    def send_all(self, batches: Iterator[Batch], timeout: float | None = None) -> Iterator[bool]:
        """Yield for each batch, when it is settled, whether it was taken."""

    def close(self) -> None:
        """Give up what is on its way and take nothing more."""


_THINGS = {"traces": "span", "metrics": "metric_data_point", "logs": "log"}


class OtlpExporter:
    """An exporter of any signal; what is said here holds for all."""

    _signal: ClassVar[str]
    _sender: Carrier

    @property
    def exported(self) -> int:
        """Items that were taken, in this process."""
        return self._sender.exported

    @property
    def rejected(self) -> int:
        """Items that the other side refused in requests that it took (partial success)."""
        return self._sender.rejected

    @property
    def failed(self) -> int:
        """Items that were given up."""
        return self._sender.failed

    def own_readings(self) -> Iterator[Reading]:
        """Yield what this SDK reports on itself."""
        name, sender = f"otel.sdk.exporter.{_THINGS[self._signal]}", self._sender
        yield f"{name}.inflight", sender.inflight, {}
        yield f"{name}.exported", sender.exported, {}
        failures = sender.failures + Counter(rejected=sender.rejected)
        for error, count in failures.items():
            yield f"{name}.exported", count, {"error.type": error}

    def _observe(self, carrier: str, meter_provider: Any, where: str = "", port: int = 0) -> None:
        """Have what is counted here reported.

        Args:
            carrier: in the middle of the component's type.
            where: the other side; ``port`` when it does not say.
        """
        kind = f"otlp_{carrier}_{_THINGS[self._signal].partition('_')[0]}_exporter"
        address: str | None = None
        if where.startswith("unix"):
            address, port = where.partition(":")[2], 0
        elif where:
            parts = urlsplit(where if "://" in where else f"//{where}")
            address = parts.hostname
            port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, port)
        self.own = self._sender.own = observe(
            self, meter_provider, kind, server_address=address, server_port=port or None
        )

    def _trouble(self) -> str:
        """What went wrong last, and where."""
        return self._sender.trouble

    def export_batches(self, batches: Iterator[Batch], timeout: float) -> Iterator[bool]:
        """Send what is bytes already, several requests at a time; yield for each batch, when it is
        settled, whether it was taken within so many seconds."""
        return self._sender.send_all(batches, timeout)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Give up what is on its way, and send nothing more."""
        self._sender.close()

    def force_flush(self, timeout_millis: float = 30_000) -> bool:
        """Nothing is held here."""
        return True


class OverHttp(OtlpExporter):
    """Exports over OTLP/HTTP. What is not given comes from ``OTEL_EXPORTER_OTLP_{SIGNAL}_*``, then
    ``OTEL_EXPORTER_OTLP_*``.

    Args:
        endpoint: the full URL, such as ``http://host:4318/v1/traces``.
        certificate_file, client_key_file, client_certificate_file: PEM, for ``https``.
        headers: sent with each request.
        timeout: seconds for one export, retries included; 10.
        compression: ``gzip``, ``deflate``, ``zstd`` or ``none``.
        session: of requests, to post with; its authentication, adapters and proxies hold, and one
            request is on its way at a time.
        max_request_size: bytes before compression, 64 MiB; larger batches go as several requests.
        max_concurrent_requests: on their way at a time; 8.
        meter_provider: where metrics about this exporter go; the global one where
            ``OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`` is true.

    Raises: ValueError when a bound is not positive. An endpoint that is none is said at the first
        export.
    Spec: OTLP Exporter Configuration; OTLP/HTTP.
    """

    _is_json: ClassVar[bool] = False

    def __init__(
        self,
        endpoint: str | None = None,
        certificate_file: str | None = None,
        client_key_file: str | None = None,
        client_certificate_file: str | None = None,
        headers: Headers = None,
        timeout: float | None = None,
        compression: Any = None,
        session: Any = None,
        *,
        max_request_size: int | None = None,
        max_concurrent_requests: int = CONCURRENCY,
        meter_provider: Any = None,
    ) -> None:
        settings = http_settings(
            self._signal,
            endpoint=endpoint,
            headers=headers,
            timeout=timeout,
            compression=compression,
            files={
                "ca": certificate_file,
                "key": client_key_file,
                "cert": client_certificate_file,
            },
            json=self._is_json,
        )
        self._endpoint = settings.where
        self._headers = dict(settings.native["headers"])
        # Where packages look for the headers of the official exporter.
        self._client = SimpleNamespace(_headers=self._headers)
        most = HTTP_REQUEST if max_request_size is None else max_request_size
        make: Any = HttpClient
        if session is not None:
            client = SessionClient(session, settings)
            make, max_concurrent_requests = (lambda events, settings: client), 1
        self._sender = Sender(make, settings, most, max_concurrent_requests)
        self._observe("http_json" if self._is_json else "http", meter_provider, settings.where)


class OverGrpc(OtlpExporter):
    """Exports over OTLP/gRPC. What is not given comes from ``OTEL_EXPORTER_OTLP_{SIGNAL}_*``, then
    ``OTEL_EXPORTER_OTLP_*``.

    Args:
        endpoint: ``http://host:4317`` (no TLS), ``https://host:4317``, ``host:4317``, or
            ``unix:///path`` (no TLS unless ``insecure`` is False).
        insecure: no TLS, for an endpoint without a scheme.
        credentials: grpcio's; they cannot be read, so TLS is spoken with the certificates that the
            environment names, or the system's.
        headers: sent with each request.
        timeout: seconds for one export, retries included; 10.
        compression: ``gzip``, ``zstd``, ``snappy`` or ``none``.
        channel_options, retryable_error_codes: of grpcio; not used.
        max_request_size: bytes before compression, 4 MiB; larger batches go as several requests.
        max_concurrent_requests: on their way at a time; 8.
        meter_provider: where metrics about this exporter go; the global one where
            ``OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`` is true.
        certificate_file: authorities to trust, PEM.
        client_key_file, client_certificate_file: for mutual TLS, PEM.

    Raises: ValueError when a bound is not positive. An endpoint that is none is said at the first
        export.
    Spec: OTLP Exporter Configuration; OTLP/gRPC.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        insecure: bool | None = None,
        credentials: Any = None,
        headers: Headers = None,
        timeout: float | None = None,
        compression: Any = None,
        channel_options: Any = None,
        retryable_error_codes: Any = None,
        *,
        max_request_size: int | None = None,
        max_concurrent_requests: int = CONCURRENCY,
        meter_provider: Any = None,
        certificate_file: str | None = None,
        client_key_file: str | None = None,
        client_certificate_file: str | None = None,
    ) -> None:
        if credentials is not None:
            _log.warning("credentials of grpcio are not used; name certificates in the environment")
            insecure = False
        settings = grpc_settings(
            self._signal,
            endpoint=endpoint,
            insecure=insecure,
            headers=headers,
            timeout=timeout,
            compression=compression,
            files={
                "ca": certificate_file,
                "key": client_key_file,
                "cert": client_certificate_file,
            },
        )
        self._endpoint = settings.where
        self._headers = dict(settings.native["headers"])
        most = GRPC_REQUEST if max_request_size is None else max_request_size
        self._sender = Sender(GrpcClient, settings, most, max_concurrent_requests)
        self._observe("grpc", meter_provider, settings.where, 443)
