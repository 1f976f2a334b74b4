"""Metrics over OTLP/gRPC.

Spec: OTLP Exporter Configuration; OTLP/gRPC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.sdk.exporter.otlp._base import OverGrpc
from heliograph.sdk.exporter.otlp._metrics import OfMetrics
from heliograph.sdk.exporter.otlp._settings import Headers


class OTLPMetricExporter(OfMetrics, OverGrpc):
    """Sends metrics over OTLP/gRPC. Other arguments, variables and errors: `OverGrpc`.

    Args:
        preferred_temporality, preferred_aggregation: by class of instrument; for the others
            ``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`` and
            ``OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`` decide.
        max_export_batch_size: data points of a request; any number when not given.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        insecure: bool | None = None,
        credentials: Any = None,
        headers: Headers = None,
        timeout: float | None = None,
        compression: Any = None,
        preferred_temporality: Mapping[type, Any] | None = None,
        preferred_aggregation: Mapping[type, Any] | None = None,
        max_export_batch_size: int | None = None,
        channel_options: Any = None,
        retryable_error_codes: Any = None,
        **more: Any,
    ) -> None:
        OverGrpc.__init__(
            self, endpoint, insecure, credentials, headers, timeout, compression, **more
        )
        self._prefer(preferred_temporality, preferred_aggregation, max_export_batch_size)
