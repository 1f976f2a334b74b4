"""Log records over OTLP/HTTP.

Spec: OTLP Exporter Configuration.
"""

from __future__ import annotations

from typing import Any

from heliograph._core import HttpClient
from heliograph.sdk.exporter.otlp._logs import LogsOverOtlp
from heliograph.sdk.exporter.otlp._sender import Sender
from heliograph.sdk.exporter.otlp._settings import Headers, http_settings


class OTLPLogExporter(LogsOverOtlp):
    """Sends log records over OTLP/HTTP with protobuf. What is not given comes from
    ``OTEL_EXPORTER_OTLP_LOGS_*``, then ``OTEL_EXPORTER_OTLP_*``.

    Args:
        endpoint: the full URL, such as ``http://host:4318/v1/logs``.
        certificate_file, client_key_file, client_certificate_file: PEM, for ``https``.
        headers: sent with each request.
        timeout: seconds for one export, retries included; 10.
        compression: ``gzip``, ``deflate``, ``zstd`` or ``none``.
        session: of requests; not used.
        max_request_size: bytes before compression; larger batches go as several requests.

    Raises: ValueError at the first export for an endpoint that is none.
    """

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
        meter_provider: Any = None,
    ) -> None:
        files = {"ca": certificate_file, "key": client_key_file, "cert": client_certificate_file}
        settings = http_settings(
            "logs",
            endpoint=endpoint,
            headers=headers,
            timeout=timeout,
            compression=compression,
            files=files,
        )
        self._endpoint = settings.where
        self._sender = Sender(HttpClient, settings, max_request_size)
