"""From YAML to a `Config`: sources, expansion, merging, checking, and every error in one pass."""

from heliograph.pipeline.config.load import load
from heliograph.pipeline.config.model import (
    SIGNAL_NAMES,
    SIGNALS,
    ComponentSpec,
    Config,
    LogsTelemetry,
    MetricsTelemetry,
    PipelineId,
    PipelineSpec,
    Telemetry,
)

__all__ = [
    "SIGNALS",
    "SIGNAL_NAMES",
    "ComponentSpec",
    "Config",
    "LogsTelemetry",
    "MetricsTelemetry",
    "PipelineId",
    "PipelineSpec",
    "Telemetry",
    "load",
]
