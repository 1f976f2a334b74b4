"""What a configuration is once it is read, expanded, merged and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from heliograph.errors import Place, Problem
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig, ComponentId, Kind
from heliograph.pipeline.config.journal import JournalConfig
from heliograph.pipeline.config.otel import OtlpExporter
from heliograph.pipeline.telemetry import SIGNAL_NAMES as SIGNAL_NAMES

SIGNALS: Mapping[str, Signal] = {name: signal for signal, name in SIGNAL_NAMES.items()}
"""What a pipeline's id begins with."""


@dataclass(frozen=True)
class PipelineId:
    """``signal`` or ``signal/name``, as written in the configuration."""

    signal: Signal
    name: str = ""

    def __str__(self) -> str:
        signal = SIGNAL_NAMES[self.signal]
        return f"{signal}/{self.name}" if self.name else signal


@dataclass(frozen=True)
class ComponentSpec:
    """One configured component."""

    id: ComponentId
    kind: Kind
    module: ModuleType
    config: ComponentConfig
    place: Place

    @property
    def factory(self) -> Any:
        """The class to build: ``module.Receiver``, ``.Processor`` and so on."""
        return getattr(self.module, self.kind.class_name)


@dataclass(frozen=True)
class PipelineSpec:
    """The components of one pipeline, in order; a connector stands among receivers or exporters."""

    id: PipelineId
    receivers: tuple[ComponentId, ...]
    processors: tuple[ComponentId, ...]
    exporters: tuple[ComponentId, ...]
    place: Place


@dataclass(frozen=True)
class Push:
    """Where some of the program's own telemetry is sent, and when.

    ``path`` is the exporter's in the configuration; ``otlp`` is None for standard output. Times are
    seconds; at most ``room`` spans or log records wait, and ``most`` go out at a time.
    """

    path: str
    otlp: OtlpExporter | None = field(repr=False)
    every: float
    timeout: float = 30.0
    room: int = 2048
    most: int = 512


@dataclass(frozen=True)
class LogsTelemetry:
    """``service.telemetry.logs``: how the program itself writes its log."""

    level: str = "info"
    encoding: str = "console"
    output_paths: tuple[str, ...] = ("stderr",)
    sampling_initial: int = 10
    sampling_thereafter: int = 100
    sampling_tick: float = 10.0
    sampling: bool = True
    initial_fields: Mapping[str, Any] = field(default_factory=dict)
    pushes: tuple[Push, ...] = ()


@dataclass(frozen=True)
class MetricsPage:
    """A page with the program's own metrics.

    ``path`` is the option that says where it is; ``written`` is False for the default, which is not
    worth failing for; ``total`` and ``units`` put type and unit behind each name.
    """

    address: str
    path: str
    written: bool = True
    total: bool = False
    units: bool = False


@dataclass(frozen=True)
class MetricsTelemetry:
    """``service.telemetry.metrics``: the program's own metrics."""

    level: str = "normal"
    pages: tuple[MetricsPage, ...] = (
        MetricsPage("localhost:8888", "service.telemetry.metrics.address", written=False),
    )
    pushes: tuple[Push, ...] = ()

    @property
    def address(self) -> str | None:
        """Where the first page is, None when nobody asked for one."""
        return self.pages[0].address if self.pages else None


@dataclass(frozen=True)
class TracesTelemetry:
    """``service.telemetry.traces``: spans of the batches that the program handles."""

    ratio: float = 0.0
    pushes: tuple[Push, ...] = ()


@dataclass(frozen=True)
class Telemetry:
    """``service.telemetry``, old forms included."""

    logs: LogsTelemetry = field(default_factory=LogsTelemetry)
    metrics: MetricsTelemetry = field(default_factory=MetricsTelemetry)
    traces: TracesTelemetry = field(default_factory=TracesTelemetry)
    resource: Mapping[str, str] = field(default_factory=dict)
    """Attributes of the program's own telemetry; an empty value removes a default one."""


@dataclass(frozen=True)
class Config:
    """A configuration without errors."""

    components: Mapping[tuple[Kind, ComponentId], ComponentSpec]
    pipelines: Mapping[PipelineId, PipelineSpec]
    extensions: tuple[ComponentId, ...] = ()
    """The extensions that ``service.extensions`` starts, in order."""
    telemetry: Telemetry = field(default_factory=Telemetry)
    journal: JournalConfig = field(default_factory=JournalConfig)
    warnings: tuple[Problem, ...] = ()
    sources: tuple[str, ...] = field(default=(), repr=False)
    """What ``load`` was called with, for a reload."""
    sets: tuple[str, ...] = field(default=(), repr=False)
    gates: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """The local files that it was read from, component files among them."""
    place: Callable[[str], Place | None] = field(default=lambda path: None, repr=False)
    """Find where a dotted path is written."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What `heliograph.pipeline.redaction.redact` has to hide."""

    def placed(self, problem: Problem) -> Problem:
        """Return a problem that was found later with the place that its path has here."""
        return problem if problem.place else replace(problem, place=self.place(problem.path))

    def component(self, kind: Kind, id: ComponentId) -> ComponentSpec:
        """Return a configured component; a connector stands for a receiver or an exporter too."""
        found = self.components.get((kind, id))
        return found if found is not None else self.components[Kind.CONNECTOR, id]
