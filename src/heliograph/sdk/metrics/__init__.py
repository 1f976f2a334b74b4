"""Metrics. Spec: Metrics SDK.

The public names are the official SDK's ``opentelemetry.sdk.metrics``.
"""

from heliograph.sdk.metrics import export as export
from heliograph.sdk.metrics import view as view
from heliograph.sdk.metrics._internal import Meter, MeterConfig, MeterConfigurator, MeterProvider
from heliograph.sdk.metrics._internal.exceptions import MetricsTimeoutError
from heliograph.sdk.metrics._internal.exemplar import (
    AlignedHistogramBucketExemplarReservoir,
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    Exemplar,
    ExemplarFilter,
    ExemplarReservoir,
    SimpleFixedSizeExemplarReservoir,
    TraceBasedExemplarFilter,
)
from heliograph.sdk.metrics._internal.instrument import (
    BoundCounter,
    BoundGauge,
    BoundHistogram,
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from heliograph.sdk.metrics._internal.instrument import Gauge as _Gauge

__all__ = [
    "AlignedHistogramBucketExemplarReservoir",
    "AlwaysOffExemplarFilter",
    "AlwaysOnExemplarFilter",
    "BoundCounter",
    "BoundGauge",
    "BoundHistogram",
    "Counter",
    "Exemplar",
    "ExemplarFilter",
    "ExemplarReservoir",
    "Histogram",
    "Meter",
    "MeterConfig",
    "MeterConfigurator",
    "MeterProvider",
    "MetricsTimeoutError",
    "ObservableCounter",
    "ObservableGauge",
    "ObservableUpDownCounter",
    "SimpleFixedSizeExemplarReservoir",
    "TraceBasedExemplarFilter",
    "UpDownCounter",
    "_Gauge",
    "export",
    "view",
]
