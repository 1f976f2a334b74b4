"""What the OTLP exporters of metrics share."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from opentelemetry import metrics as api

from heliograph._core import Batch
from heliograph.sdk.exporter.otlp.proto.common.sending import Sender
from heliograph.sdk.metrics._internal.collected import Collected
from heliograph.sdk.metrics._internal.export.exporter import MetricExporter, MetricExportResult
from heliograph.sdk.metrics._internal.point import MetricsData
from heliograph.sdk.metrics.export import AggregationTemporality
from heliograph.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)

_logger = logging.getLogger(__name__)

Headers = Sequence[tuple[str, str]] | Mapping[str, str] | str | None

_DELTA: dict[str, tuple[type, ...]] = {
    "cumulative": (),
    "delta": (api.Counter, api.ObservableCounter, api.Histogram),
    "lowmemory": (api.Counter, api.Histogram),
}
_HISTOGRAMS: dict[str, type[Aggregation]] = {
    "explicit_bucket_histogram": ExplicitBucketHistogramAggregation,
    "base2_exponential_bucket_histogram": ExponentialBucketHistogramAggregation,
}


def setting(name: str) -> str | None:
    """Return ``OTEL_EXPORTER_OTLP_METRICS_<name>``, or the same for all signals, if not empty."""
    for prefix in ("OTEL_EXPORTER_OTLP_METRICS_", "OTEL_EXPORTER_OTLP_"):
        found = os.environ.get(prefix + name, "").strip()
        if found:
            return found
    return None


def timeout_of(given: float | None) -> float:
    """Return the seconds that an export may take; 10 when nobody says."""
    if given is not None:
        return given
    found = setting("TIMEOUT")
    try:
        return float(found) if found is not None else 10.0
    except ValueError:
        _logger.warning("OTEL_EXPORTER_OTLP_TIMEOUT is %r, no number of seconds.", found)
        return 10.0


def headers_of(given: Headers) -> dict[str, str]:
    """Return headers by name; of a text, names and values are percent-encoded, as in Baggage."""
    if given is None:
        given = setting("HEADERS")
    if given is None:
        return {}
    if not isinstance(given, str):
        pairs = given.items() if isinstance(given, Mapping) else given
        return {name.lower(): value for name, value in pairs}
    headers = {}
    for part in given.split(","):
        name, equals, value = part.partition("=")
        if equals and name.strip():
            headers[unquote(name).strip().lower()] = unquote(value).strip()
        elif part.strip():
            # Not the text itself: it may be a secret.
            _logger.warning("A header in OTEL_EXPORTER_OTLP_HEADERS is not name=value.")
    return headers


def temporality(preferred: Mapping[type, Any] | None) -> dict[type, Any]:
    """Return what OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE says, unless overridden."""
    name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    wanted = os.environ.get(name, "").strip().lower() or "cumulative"
    if wanted not in _DELTA:
        _logger.warning("%s is %r; there are cumulative, delta and lowmemory.", name, wanted)
        wanted = "cumulative"
    table: dict[type, Any] = dict.fromkeys(_DELTA[wanted], AggregationTemporality.DELTA)
    return table | dict(preferred or {})


def aggregation(preferred: Mapping[type, Any] | None) -> dict[type, Any]:
    """Return what OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION says, unless
    overridden."""
    name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    wanted = os.environ.get(name, "").strip().lower() or "explicit_bucket_histogram"
    if wanted not in _HISTOGRAMS:
        _logger.warning("%s is %r; there are %s.", name, wanted, " and ".join(_HISTOGRAMS))
        wanted = "explicit_bucket_histogram"
    return {api.Histogram: _HISTOGRAMS[wanted](), **(preferred or {})}


class OTLPMetricExporterBase(MetricExporter):
    """Sends what a reader collected, the bytes as they are.

    Args:
        timeout: seconds for an export with all its attempts.
        max_export_batch_size: data points of a request; any number when not given.
    """

    def __init__(
        self,
        sender: Sender,
        timeout: float,
        max_export_batch_size: int | None,
        preferred_temporality: Mapping[type, Any] | None,
        preferred_aggregation: Mapping[type, Any] | None,
    ) -> None:
        super().__init__(temporality(preferred_temporality), aggregation(preferred_aggregation))
        self._sender = sender
        self._timeout = timeout
        self._max_export_batch_size = max_export_batch_size

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send within the time; say what went wrong, once until it works again."""
        timeout = min(self._timeout, timeout_millis / 1e3)
        sent = [self._sender.send(batch, timeout) for batch in self._batches(metrics_data)]
        return MetricExportResult.SUCCESS if all(sent) else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is held back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """End an export that waits for its next attempt."""
        self._sender.close()

    def _batches(self, metrics_data: MetricsData) -> list[Batch]:
        if not isinstance(metrics_data, Collected):
            raise TypeError("only what a reader of this SDK collected can be exported")
        if self._max_export_batch_size is None:
            return [metrics_data.batch]
        return metrics_data.batch.split(items=self._max_export_batch_size)
