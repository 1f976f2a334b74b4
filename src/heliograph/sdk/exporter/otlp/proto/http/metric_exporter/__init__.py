"""Metrics over OTLP/HTTP.

Spec: OTLP Exporter Configuration; OTLP/HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.sdk.exporter.otlp._base import OverHttp
from heliograph.sdk.exporter.otlp._metrics import OfMetrics
from heliograph.sdk.exporter.otlp._settings import TIMEOUT, Headers
from heliograph.sdk.exporter.otlp.proto.http import Compression

# What packages for the official SDK import from here.
DEFAULT_COMPRESSION = Compression.NoCompression
DEFAULT_ENDPOINT = "http://localhost:4318/"
DEFAULT_METRICS_EXPORT_PATH = "v1/metrics"
DEFAULT_TIMEOUT = TIMEOUT


class OTLPMetricExporter(OfMetrics, OverHttp):
    """Sends metrics over OTLP/HTTP. Other arguments, variables and errors: `OverHttp`.

    Args:
        preferred_temporality, preferred_aggregation: by class of instrument; for the others
            ``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`` and
            ``OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`` decide.
        max_export_batch_size: data points of a request; any number when not given.
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
        preferred_temporality: Mapping[type, Any] | None = None,
        preferred_aggregation: Mapping[type, Any] | None = None,
        max_export_batch_size: int | None = None,
        **more: Any,
    ) -> None:
        files = (certificate_file, client_key_file, client_certificate_file)
        OverHttp.__init__(self, endpoint, *files, headers, timeout, compression, session, **more)
        self._prefer(preferred_temporality, preferred_aggregation, max_export_batch_size)
