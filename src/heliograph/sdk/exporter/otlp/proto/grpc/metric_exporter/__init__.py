"""Metrics over OTLP/gRPC. Spec: OTLP Exporter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

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
    grpc_client,
)


class OTLPMetricExporter(OTLPMetricExporterBase):
    """Sends metrics to an OTLP/gRPC server.

    What is not given is taken from OTEL_EXPORTER_OTLP_METRICS_*, then OTEL_EXPORTER_OTLP_*.

    Args:
        endpoint: ``http://host:4317`` without TLS, ``https://…`` with, or ``host:4317``.
        insecure: no TLS, for an endpoint that does not say so itself.
        headers: sent with every request.
        timeout: seconds for an export with all its attempts.
        compression: ``gzip``, ``zstd`` or ``none``, or gRPC's own constant.
        max_export_batch_size: data points of a request; any number when not given.

    Raises: ValueError when an option or a certificate cannot be used.
    """

    def __init__(  # noqa: PLR0917 - the official SDK's order
        self,
        endpoint: str | None = None,
        insecure: bool | None = None,
        credentials: None = None,
        headers: Headers = None,
        timeout: float | None = None,
        compression: Any = None,
        preferred_temporality: Mapping[type, Any] | None = None,
        preferred_aggregation: Mapping[type, Any] | None = None,
        max_export_batch_size: int | None = None,
    ) -> None:
        if credentials is not None:
            raise ValueError("credentials are gRPC's; name certificates in the environment")
        endpoint = endpoint or setting("ENDPOINT") or "http://localhost:4317"
        parts = urlsplit(endpoint)
        if parts.scheme in ("http", "https"):
            # A path means nothing to gRPC.
            insecure = parts.scheme == "http"
            endpoint = parts.netloc
        elif insecure is None:
            insecure = (setting("INSECURE") or "").lower() == "true"
        common = client_settings(
            headers=headers_of(headers),
            compression=_compression(compression),
            secure=not insecure,
            ca_file=setting("CERTIFICATE"),
            cert_file=setting("CLIENT_CERTIFICATE"),
            key_file=setting("CLIENT_KEY"),
        )
        self._endpoint = endpoint
        super().__init__(
            Sender(grpc_client(endpoint, common), endpoint),
            timeout_of(timeout),
            max_export_batch_size,
            preferred_temporality,
            preferred_aggregation,
        )


def _compression(given: Any) -> str:
    if given is None:
        return (setting("COMPRESSION") or "none").lower()
    if isinstance(given, str):
        return given.lower()
    # grpc.Compression: an enumeration of NoCompression, Deflate and Gzip.
    return "gzip" if getattr(given, "name", "") == "Gzip" else "none"
