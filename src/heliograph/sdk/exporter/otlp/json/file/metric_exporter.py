"""Metrics as lines of OTLP/JSON.

Spec: OTLP File Exporter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Any

from heliograph.sdk.exporter.otlp._lines import Lines
from heliograph.sdk.exporter.otlp._metrics import OfMetrics


class FileMetricExporter(OfMetrics):
    """Appends metrics to a file, a line for each batch.

    Args:
        path: of the file, which is made when there is none.
        stream: written to instead; it is not closed. Without either, standard output is.
        preferred_temporality, preferred_aggregation: by class of instrument; for the others
            ``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`` and
            ``OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`` decide.

    Raises: ValueError when there are both; OSError when the file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        stream: IO[str] | None = None,
        preferred_temporality: Mapping[type, Any] | None = None,
        preferred_aggregation: Mapping[type, Any] | None = None,
    ) -> None:
        self._sender = Lines(path, stream)
        self._observe("file", None)
        self._prefer(preferred_temporality, preferred_aggregation)
