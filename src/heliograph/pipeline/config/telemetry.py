"""``service.telemetry``, in every form that the Collector has taken."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from heliograph.pipeline.config.model import LogsTelemetry, MetricsTelemetry, Telemetry
from heliograph.pipeline.fields import Duration, Field


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_Level = Annotated[
    Literal["debug", "info", "warn", "error", "dpanic", "panic", "fatal"], BeforeValidator(_lower)
]
_Detail = Annotated[Literal["none", "basic", "normal", "detailed"], BeforeValidator(_lower)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Sampling(_Model):
    """Thinning of repeated log lines."""

    enabled: bool = Field(True, description="Thin out lines that repeat.")
    tick: Duration = Field("10s", description="The time in which lines are counted.")
    initial: int = Field(10, ge=0, description="Lines of a kind that are written each tick.")
    thereafter: int = Field(100, ge=0, description="After those, one of so many is written.")


class Logs(_Model):
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
    processors: list[Any] = Field([], description="Where log records are sent, as in the SDK.")


class Metrics(_Model):
    """The program's own metrics."""

    level: _Detail = Field("normal", description="How much is measured.")
    address: str | None = Field(None, description="host:port of a page for Prometheus.")
    readers: list[Any] = Field([], description="Readers, as in the SDK's declarative form.")
    views: list[Any] = Field([], description="Accepted; not used.")


class Traces(_Model):
    """The program's own traces."""

    level: _Detail = Field("none", description="How much is traced.")
    propagators: list[str] = Field([], description="Accepted; not used.")
    processors: list[Any] = Field([], description="Accepted; not used.")
    sampler: Any = Field(None, description="Accepted; not used.")


class TelemetryConfig(_Model):
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
        ),
        metrics=MetricsTelemetry(
            level=config.metrics.level,
            address=_address(config.metrics),
            readers=tuple(reader for reader in config.metrics.readers if isinstance(reader, dict)),
        ),
        traces=config.traces.model_dump(),
        resource=_resource(config.resource),
    )


def _address(metrics: Metrics) -> str | None:
    """Return where Prometheus finds the page: the old ``address``, or the first pull reader's."""
    if metrics.level == "none":
        return None
    if metrics.address is not None:
        return metrics.address or None
    if not metrics.readers:
        return "localhost:8888"
    for reader in metrics.readers:
        page = reader
        for step in ("pull", "exporter", "prometheus"):
            page = page.get(step) if isinstance(page, dict) else None
        if isinstance(page, dict):
            return f"{page.get('host', 'localhost')}:{page.get('port', 8888)}"
    return None


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
