"""Metrics over OTLP/HTTP with protobuf. Spec: OTLP Exporter."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from heliograph.sdk.exporter.otlp.proto.common.metrics import (
    Headers,
    OTLPMetricExporterBase,
    headers_of,
    setting,
    timeout_of,
)
from heliograph.sdk.exporter.otlp.proto.common.sending import (
    Sender,
    client_settings,
    http_client,
)


class OTLPMetricExporter(OTLPMetricExporterBase):
    """Sends metrics to an OTLP/HTTP server.

    What is not given is taken from OTEL_EXPORTER_OTLP_METRICS_*, then OTEL_EXPORTER_OTLP_*.

    Args:
        endpoint: the whole URL, ``http://host:4318/v1/metrics``.
        certificate_file: what signed the server's certificate.
        client_key_file, client_certificate_file: for servers that want to know clients.
        headers: sent with every request.
        timeout: seconds for an export with all its attempts.
        compression: ``gzip``, ``zstd``, ``deflate`` or ``none``, or the official SDK's constant.
        max_export_batch_size: data points of a request; any number when not given.

    Raises: ValueError when an option or a certificate cannot be used.
    """

    def __init__(  # noqa: PLR0917 - the official SDK's order
        self,
        endpoint: str | None = None,
        certificate_file: str | None = None,
        client_key_file: str | None = None,
        client_certificate_file: str | None = None,
        headers: Headers = None,
        timeout: float | None = None,
        compression: Any = None,
        session: None = None,
        preferred_temporality: Mapping[type, Any] | None = None,
        preferred_aggregation: Mapping[type, Any] | None = None,
        max_export_batch_size: int | None = None,
    ) -> None:
        if session is not None:
            raise ValueError("session is of the requests library, which is not used here")
        self._endpoint = endpoint or _endpoint()
        packed = getattr(compression, "value", compression) or setting("COMPRESSION") or "none"
        common = client_settings(
            headers=headers_of(headers),
            compression=str(packed).lower(),
            secure=self._endpoint.startswith("https:"),
            ca_file=certificate_file or setting("CERTIFICATE"),
            cert_file=client_certificate_file or setting("CLIENT_CERTIFICATE"),
            key_file=client_key_file or setting("CLIENT_KEY"),
        )
        super().__init__(
            Sender(http_client(self._endpoint, common), self._endpoint),
            timeout_of(timeout),
            max_export_batch_size,
            preferred_temporality,
            preferred_aggregation,
        )


def _endpoint() -> str:
    whole = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "").strip()
    if whole:
        return whole
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or "http://localhost:4318"
    return f"{base.rstrip('/')}/v1/metrics"
