"""Log records over OTLP/gRPC.

Spec: OTLP Exporter Configuration.
"""

from __future__ import annotations

import logging
from typing import Any

from heliograph._core import GrpcClient
from heliograph.sdk.exporter.otlp._logs import LogsOverOtlp
from heliograph.sdk.exporter.otlp._sender import Sender
from heliograph.sdk.exporter.otlp._settings import Headers, grpc_settings

_log = logging.getLogger("heliograph.sdk.exporter")


class OTLPLogExporter(LogsOverOtlp):
    """Sends log records over OTLP/gRPC. What is not given comes from ``OTEL_EXPORTER_OTLP_LOGS_*``,
    then ``OTEL_EXPORTER_OTLP_*``.

    Args:
        endpoint: ``http://host:4317`` (no TLS), ``https://host:4317``, or ``host:4317``.
        insecure: no TLS, for an endpoint without a scheme.
        credentials: grpcio's; they cannot be read, so TLS is spoken with the certificates that the
            environment names, or the system's.
        headers: sent with each request.
        timeout: seconds for one export, retries included; 10.
        compression: ``gzip``, ``zstd``, ``snappy`` or ``none``.

    Raises: ValueError at the first export for an endpoint that is none.
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
        meter_provider: Any = None,
    ) -> None:
        if credentials is not None:
            _log.warning("credentials of grpcio are not used; name certificates in the environment")
            insecure = False
        settings = grpc_settings(
            "logs",
            endpoint=endpoint,
            insecure=insecure,
            headers=headers,
            timeout=timeout,
            compression=compression,
        )
        self._endpoint = settings.where
        self._sender = Sender(GrpcClient, settings)
