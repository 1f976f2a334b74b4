"""Show the latest metrics on a page that Prometheus scrapes.

YAML: ``exporters: prometheus``, metrics; ``endpoint`` is required, the page is ``/metrics``.
Fields: `Config`. A batch is acknowledged once its points are held; they live in memory only and
leave after ``metric_expiration`` without a new one. Raises: Reject when no point of a batch can be
shown.

Each scrape is answered as its ``Accept`` header wishes: protobuf (the only one with native
histograms and start times), OpenMetrics (with exemplars) or the classic text; names outside the
classic alphabet are quoted or escaped as ``escaping=`` says. Where there are no native histograms,
exponential ones appear at classic bounds that are powers of two.

Delta sums and histograms are added up, across gaps too; delta sums that are not monotonic have no
form here. ``job`` and ``instance`` come from the service's attributes, the other attributes of a
resource go to ``target_info``. Of metrics that share a name the first one's type, description and
unit count; points of another type are dropped, and it is said once.

Source: the Collector's prometheusexporter; the specification's Prometheus and OpenMetrics
Compatibility. Unlike the Go collector: OpenMetrics needs no switch; exemplars carry filtered
attributes and come with native histograms too; a gap in deltas does not make a counter fall;
exponential histograms keep their buckets in text; empty labels are left out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import translate
from typing import ClassVar

from heliograph.errors import Problem, Reject
from heliograph.exporters._prometheus import protobuf, text
from heliograph.exporters._prometheus.labels import SERVICE, Labeller
from heliograph.exporters._prometheus.naming import Namer, Strategy
from heliograph.exporters._prometheus.negotiate import Format, negotiate
from heliograph.exporters._prometheus.read import Reader
from heliograph.exporters._prometheus.state import Store
from heliograph.exporters._prometheus.view import views
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.fields import Duration, Field
from heliograph.pipeline.http import Request, Response
from heliograph.pipeline.net import HttpServer
from heliograph.pipeline.pages import Pages

PATH = "/metrics"
BREATH = 0.005
"""Seconds of writing after which the loop gets a turn."""
INVALID_ARGUMENT = 3
"""gRPC's code for data that will never be right."""


class ResourceLabels(ComponentConfig):
    """``resource_constant_labels``: resource attributes that every series gets as labels."""

    included: Sequence[str] = Field((), description="Patterns of keys, with * and ?.")
    excluded: Sequence[str] = Field(
        (), description="Patterns of keys that stay out; alone, all others come in."
    )


class Conversion(ComponentConfig):
    """``resource_to_telemetry_conversion``: the older form of ``resource_constant_labels``."""

    enabled: bool = Field(False, description="Give every resource attribute to every series.")
    exclude_service_attributes: bool = Field(
        False, description="Leave out those that job and instance are made of."
    )


class TargetInfo(ComponentConfig):
    """``target_info``: the metric that carries a resource's attributes."""

    enabled: bool = Field(True, description="Show it.")


class Config(HttpServer):
    namespace: str = Field("", description="Word in front of every metric's name.")
    const_labels: Mapping[str, str] = Field({}, description="Labels that every series gets.")
    send_timestamps: bool = Field(
        False, description="Show each point's own time; otherwise a sample is as old as its scrape."
    )
    metric_expiration: Duration = Field(
        "5m", gt=0, description="A series without a new point for so long is gone."
    )
    enable_open_metrics: bool | None = Field(
        None, description="Offer OpenMetrics to scrapers; only an explicit false does not."
    )
    translation_strategy: Strategy | None = Field(
        None, description="How names are translated; UnderscoreEscapingWithSuffixes if not given."
    )
    add_metric_suffixes: bool = Field(
        True,
        description="Older form of translation_strategy: false leaves unit and type out of names.",
    )
    resource_constant_labels: ResourceLabels = Field(
        ResourceLabels(), description="Resource attributes that become labels of every series."
    )
    resource_to_telemetry_conversion: Conversion = Field(
        Conversion(), description="Older form of resource_constant_labels."
    )
    without_scope_info: bool = Field(
        False, description="Leave out the labels otel_scope_name, _version, _schema_url and more."
    )
    target_info: TargetInfo = Field(TargetInfo(), description="The target_info metric.")

    def check(self) -> Iterator[Problem]:
        yield from super().check()
        for name in self.const_labels:
            if not self.namer.label(name) or name.startswith("__"):
                yield Problem(f"const_labels.{name}", "is not a label's name")

    @property
    def namer(self) -> Namer:
        """How names are translated."""
        older = Strategy.ESCAPE_AND_SUFFIX if self.add_metric_suffixes else Strategy.ESCAPE
        return Namer(self.namespace, self.translation_strategy or older)

    @property
    def labeller(self) -> Labeller:
        """Which labels series get."""
        constant = {self.namer.label(key): value for key, value in self.const_labels.items()}
        return Labeller(
            self.namer,
            tuple(sorted((name, value) for name, value in constant.items() if value)),
            scope_info=not self.without_scope_info,
            wanted=self._wanted(),
        )

    def _wanted(self) -> Callable[[str], bool]:
        choice, older = self.resource_constant_labels, self.resource_to_telemetry_conversion
        if choice.included or choice.excluded:
            included = _patterns(choice.included or ("*",))
            excluded = _patterns(choice.excluded)
            return lambda key: included(key) and not excluded(key)
        if older.exclude_service_attributes:
            return lambda key: older.enabled and key not in SERVICE
        return lambda key: older.enabled


class Exporter:
    """Async shell: owns the page."""

    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.METRICS})

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._log = settings.log
        self._id = settings.id
        self._now = settings.clock.monotonic
        self._telemetry = settings.telemetry
        namer = config.namer
        info = f"{namer.namespace}_target_info" if namer.namespace else "target_info"
        self._info = namer.metric("target_info", "") if namer.strategy.escapes else info
        shown = self._info if config.target_info.enabled else ""
        self._store = Store(config.labeller, config.metric_expiration, shown)
        self._pages = Pages(config, settings, self._serve)

    @property
    def port(self) -> int:
        """Where the page is; only after ``start``."""
        return self._pages.port

    async def start(self) -> None:
        await self._pages.start()
        scheme = "https" if self._config.tls else "http"
        self._log.info("metrics are at %s://%s%s", scheme, self._config.endpoint, PATH)

    async def consume(self, batch: Batch) -> None:
        outcome = self._store.consume(Reader(batch), self._now())
        for remark in outcome.remarks:
            self._log.warning("%s", remark)
        if outcome.unusable:
            self._drop(batch, outcome.unusable)

    async def stop(self) -> None:
        await self._pages.stop()

    def _drop(self, batch: Batch, unusable: Mapping[str, int]) -> None:
        """Count what was left out of a batch; one of which nothing is left counts as rejected."""
        if sum(unusable.values()) == batch.items:
            reasons = ", ".join(sorted(unusable))
            raise Reject(f"no point can be shown to Prometheus: {reasons}", INVALID_ARGUMENT)
        for reason, points in unusable.items():
            self._telemetry.counter(
                "heliograph_exporter_dropped_metric_points", exporter=str(self._id), reason=reason
            ).value += points

    async def _serve(self, request: Request) -> Response:
        if request.path != PATH:
            return Response(404, f"the metrics are at {PATH}\n".encode())
        offered = self._config.enable_open_metrics is not False
        style = negotiate(request.headers.get("accept", ""), openmetrics=offered)
        self._store.sweep(self._now())
        shown = views(self._store.families(), self._info, self._store.targets(), style)
        stamps = self._config.send_timestamps
        parts: list[bytes] = []
        turn = self._now()
        writer = protobuf if style.format is Format.PROTOBUF else text
        for part in writer.write(shown, style, timestamps=stamps):
            parts.append(part)
            if self._now() - turn > BREATH:
                await asyncio.sleep(0)
                turn = self._now()
        return Response(body=b"".join(parts), content_type=style.content_type)


def _patterns(patterns: Sequence[str]) -> Callable[[str], bool]:
    if not patterns:
        return lambda key: False
    compiled = re.compile("|".join(translate(pattern) for pattern in patterns))
    return lambda key: compiled.fullmatch(key) is not None
