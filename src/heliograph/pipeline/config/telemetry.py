"""``service.telemetry``, in every form that the Collector has taken."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.config.model import (
    LogsTelemetry,
    MetricsPage,
    MetricsTelemetry,
    Push,
    Telemetry,
    TracesTelemetry,
)
from heliograph.pipeline.config.otel import LOW_RATIO, PushProcessor, Reader, Sampler
from heliograph.pipeline.fields import Duration, Field

_SERVICE = "service.telemetry"
_METRICS = f"{_SERVICE}.metrics"
_SOON = 0.2
"""Seconds between two pushes of a ``simple`` processor."""


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_Level = Annotated[
    Literal["debug", "info", "warn", "error", "dpanic", "panic", "fatal"], BeforeValidator(_lower)
]
_Detail = Annotated[Literal["none", "basic", "normal", "detailed"], BeforeValidator(_lower)]


class Sampling(ComponentConfig):
    """Thinning of repeated log lines."""

    enabled: bool = Field(True, description="Thin out lines that repeat.")
    tick: Duration = Field("10s", description="The time in which lines are counted.")
    initial: int = Field(10, ge=0, description="Lines of a kind that are written each tick.")
    thereafter: int = Field(100, ge=0, description="After those, one of so many is written.")


class Logs(ComponentConfig):
    """The program's own log."""

    level: _Level = Field("info", description="The least severe level that is written.")
    encoding: Literal["console", "json"] = Field("console", description="How a line looks.")
    output_paths: list[str] = Field(["stderr"], description="stdout, stderr or files.")
    error_output_paths: list[str] = Field(["stderr"], description="Accepted; not used.")
    development: bool = Field(False, description="Accepted; not used.")
    disable_caller: bool = Field(False, description="Accepted; not used.")
    disable_stacktrace: bool = Field(False, description="Accepted; not used.")
    disable_zap_resource: bool = Field(False, description="Accepted; not used.")
    sampling: Sampling | None = Field(Sampling(), description="Thinning of repeated lines.")
    initial_fields: dict[str, Any] = Field({}, description="Fields of every line.")
    processors: list[PushProcessor] = Field([], description="Where else log records are pushed.")


class Metrics(ComponentConfig):
    """The program's own metrics."""

    level: _Detail = Field("normal", description="How much is measured.")
    address: str | None = Field(None, description="host:port of a page for Prometheus.")
    readers: list[Reader] = Field(
        [], description="Who reads the metrics; a page for Prometheus when empty."
    )
    views: list[Any] = Field([], description="Accepted; not used.")


class Traces(ComponentConfig):
    """The program's own traces."""

    level: _Detail = Field("basic", description="How much is traced; nothing without processors.")
    propagators: list[str] = Field([], description="Accepted; not used.")
    processors: list[PushProcessor] = Field([], description="Where spans are pushed.")
    sampler: Sampler | None = Field(
        None, description="Which batches are traced; one in a thousand when not given."
    )
    limits: Any = Field(None, description="Accepted; not used.")


class TelemetryConfig(ComponentConfig):
    """What the program says about itself."""

    logs: Logs = Field(Logs(), description="Its log.")
    metrics: Metrics = Field(Metrics(), description="Its metrics.")
    traces: Traces = Field(Traces(), description="Its traces.")
    resource: dict[str, Any] = Field({}, description="Attributes of its own telemetry.")


def normal(config: TelemetryConfig) -> Telemetry:
    """Return one form for all that the configuration may look like."""
    logs, sampling = config.logs, config.logs.sampling
    return Telemetry(
        logs=LogsTelemetry(
            level=logs.level,
            encoding=logs.encoding,
            output_paths=tuple(logs.output_paths),
            sampling=sampling is not None and sampling.enabled,
            sampling_initial=sampling.initial if sampling else 0,
            sampling_thereafter=sampling.thereafter if sampling else 0,
            sampling_tick=sampling.tick if sampling else 0.0,
            initial_fields=logs.initial_fields,
            pushes=tuple(_pushes(logs.processors, f"{_SERVICE}.logs.processors")),
        ),
        metrics=MetricsTelemetry(
            level=config.metrics.level,
            pages=tuple(_pages(config.metrics)),
            pushes=tuple(_reader_pushes(config.metrics)),
        ),
        traces=_traces(config.traces),
        resource=_resource(config.resource),
    )


def _pages(metrics: Metrics) -> Iterator[MetricsPage]:
    """Yield where Prometheus finds the metrics: the old ``address``, and every pull reader's."""
    if metrics.level == "none":
        return
    if metrics.address:
        yield MetricsPage(metrics.address, f"{_METRICS}.address")
    elif metrics.address is None and not metrics.readers:
        yield MetricsPage("localhost:8888", f"{_METRICS}.address", written=False)
    for index, reader in enumerate(metrics.readers):
        found = reader.pull.exporter.prometheus if reader.pull is not None else None
        if found is not None:
            yield MetricsPage(
                f"{found.host}:{found.port}",
                f"{_METRICS}.readers[{index}].pull.exporter.prometheus.port",
                total=not found.without_type_suffix,
                units=not found.without_units,
            )


def _reader_pushes(metrics: Metrics) -> Iterator[Push]:
    for index, reader in enumerate(metrics.readers):
        periodic = reader.periodic
        if periodic is not None and metrics.level != "none":
            yield Push(
                f"{_METRICS}.readers[{index}].periodic.exporter",
                periodic.exporter.otlp,
                every=periodic.interval / 1000,
                timeout=periodic.timeout / 1000,
            )


def _pushes(processors: list[PushProcessor], path: str) -> Iterator[Push]:
    for index, processor in enumerate(processors):
        if processor.batch is not None:
            batch = processor.batch
            yield Push(
                f"{path}[{index}].batch.exporter",
                batch.exporter.otlp,
                every=batch.schedule_delay / 1000,
                timeout=batch.export_timeout / 1000,
                room=batch.max_queue_size,
                most=batch.max_export_batch_size,
            )
        elif processor.simple is not None:
            path_of = f"{path}[{index}].simple.exporter"
            yield Push(path_of, processor.simple.exporter.otlp, every=_SOON)


def _traces(traces: Traces) -> TracesTelemetry:
    if traces.level == "none" or not traces.processors:
        return TracesTelemetry()
    return TracesTelemetry(
        ratio=LOW_RATIO if traces.sampler is None else traces.sampler.share(),
        pushes=tuple(_pushes(traces.processors, f"{_SERVICE}.traces.processors")),
    )


def _resource(resource: dict[str, Any]) -> dict[str, str]:
    """Return the attributes of either notation: ``{name: value}`` or ``{attributes: [...]}``."""
    listed = resource.get("attributes")
    if isinstance(listed, list):
        pairs = {
            item["name"]: item.get("value")
            for item in listed
            if isinstance(item, dict) and "name" in item
        }
    else:
        pairs = {k: v for k, v in resource.items() if not isinstance(v, dict | list)}
    return {str(name): "" if value is None else str(value) for name, value in pairs.items()}
