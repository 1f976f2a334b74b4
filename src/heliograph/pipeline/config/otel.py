"""What ``service.telemetry`` borrows from the SDK's declarative configuration.

Schemas 0.2 and 0.3, as the Go collector takes them; times are milliseconds there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices

from heliograph.errors import Problem
from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.fields import Field, Headers, Secret

LOW_RATIO = 0.001
"""Share of batches that are traced where no sampler is written."""


class OtlpExporter(ComponentConfig):
    """``otlp``: where own telemetry is pushed to."""

    protocol: Literal["grpc", "http/protobuf"] = Field(
        "http/protobuf", description="How it is sent."
    )
    endpoint: str = Field(
        "", description="URL or host:port; localhost:4317 or localhost:4318 when empty."
    )
    headers: Headers = Field({}, description="Sent with every request.")
    headers_list: Secret | None = Field(None, description="The same as name=value,name=value.")
    compression: Literal["gzip", "none"] = Field("none", description="Compression of requests.")
    timeout: int = Field(10_000, ge=0, description="Bound of one request.", unit="ms")
    insecure: bool = Field(False, description="Send without TLS where the endpoint has no scheme.")
    certificate: Path | None = Field(None, description="Certificates that are trusted; a file.")
    client_certificate: Path | None = Field(None, description="Certificate that we show; a file.")
    client_key: Path | None = Field(None, description="Its private key; a file.")
    temporality_preference: Literal["cumulative", "delta", "lowmemory", ""] = Field(
        "", description="Accepted; sums are cumulative."
    )
    default_histogram_aggregation: str = Field("", description="Accepted; not used.")

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        scheme, found, _ = self.endpoint.partition("://")
        return scheme == "https" if found else bool(self.endpoint) and not self.insecure


class PushExporter(ComponentConfig):
    """``exporter``: exactly one of these."""

    otlp: OtlpExporter | None = Field(None, description="Push over OTLP.")
    console: Any = Field(None, description="Print as OTLP/JSON on standard output.")
    zipkin: Any = Field(None, description="Not supported.")

    def check(self) -> Iterator[Problem]:
        if "zipkin" in self.model_fields_set:
            yield Problem("zipkin", "is not supported", fix="use otlp")
        elif self.otlp is None and "console" not in self.model_fields_set:
            yield Problem("", "names no exporter", fix="add 'otlp:' with its endpoint")


class Prometheus(ComponentConfig):
    """``prometheus``: a page for scrapers."""

    host: str = Field("localhost", description="Where the page is.")
    port: int = Field(8888, ge=0, le=65535, description="Its port.")
    without_scope_info: bool = Field(True, description="Accepted; there are no scope labels.")
    without_type_suffix: bool = Field(True, description="Leave _total away.")
    without_units: bool = Field(True, description="Leave units away.")
    with_resource_constant_labels: Any = Field(None, description="Accepted; not used.")
    without_target_info: bool = Field(
        False,
        description="Accepted; not used.",
        validation_alias=AliasChoices("without_target_info", "without_target_info/development"),
    )
    translation_strategy: str = Field("", description="Accepted; not used.")


class PullExporter(ComponentConfig):
    """``exporter`` of a ``pull`` reader."""

    prometheus: Prometheus | None = Field(
        None,
        description="A page for Prometheus.",
        validation_alias=AliasChoices("prometheus", "prometheus/development"),
    )

    def check(self) -> Iterator[Problem]:
        if self.prometheus is None:
            yield Problem("", "names no exporter", fix="add 'prometheus:' with host and port")


class Pull(ComponentConfig):
    """``pull``: metrics are fetched."""

    exporter: PullExporter = Field(PullExporter(), description="As what.")


class Periodic(ComponentConfig):
    """``periodic``: metrics are pushed."""

    interval: int = Field(60_000, gt=0, description="Time between two pushes.", unit="ms")
    timeout: int = Field(30_000, ge=0, description="Bound of one push.", unit="ms")
    exporter: PushExporter = Field(PushExporter(), description="Where to.")


class Reader(ComponentConfig):
    """One of ``service.telemetry.metrics.readers``."""

    periodic: Periodic | None = Field(None, description="Push metrics.")
    pull: Pull | None = Field(None, description="Let metrics be fetched.")
    producers: list[Any] = Field([], description="Accepted; not used.")

    def check(self) -> Iterator[Problem]:
        if (self.periodic is None) == (self.pull is None):
            yield Problem("", "has to be either 'periodic' or 'pull'")


class Simple(ComponentConfig):
    """``simple``: as ``batch``, with a short delay."""

    exporter: PushExporter = Field(PushExporter(), description="Where to.")


class BatchProcessor(Simple):
    """``batch``: what has come together is pushed."""

    schedule_delay: int = Field(1_000, ge=0, description="Time between two pushes.", unit="ms")
    export_timeout: int = Field(30_000, ge=0, description="Bound of one push.", unit="ms")
    max_queue_size: int = Field(2_048, gt=0, description="So many may wait; more are dropped.")
    max_export_batch_size: int = Field(512, gt=0, description="So many are pushed at a time.")


class PushProcessor(ComponentConfig):
    """One of ``service.telemetry.logs.processors`` or ``.traces.processors``."""

    batch: BatchProcessor | None = Field(None, description="Push what has come together.")
    simple: Simple | None = Field(None, description="Push soon.")

    def check(self) -> Iterator[Problem]:
        if (self.batch is None) == (self.simple is None):
            yield Problem("", "has to be either 'batch' or 'simple'")


class Ratio(ComponentConfig):
    """``trace_id_ratio_based``."""

    ratio: float = Field(1.0, ge=0, le=1, description="Share that is traced.")


class ParentBased(ComponentConfig):
    """``parent_based``; a batch's trace has no parent, so only ``root`` matters."""

    root: Sampler | None = Field(None, description="Decides.")
    remote_parent_sampled: Any = Field(None, description="Accepted; not used.")
    remote_parent_not_sampled: Any = Field(None, description="Accepted; not used.")
    local_parent_sampled: Any = Field(None, description="Accepted; not used.")
    local_parent_not_sampled: Any = Field(None, description="Accepted; not used.")


class Sampler(ComponentConfig):
    """``sampler``: which batches are traced."""

    always_on: Any = Field(None, description="All of them.")
    always_off: Any = Field(None, description="None.")
    trace_id_ratio_based: Ratio | None = Field(None, description="A share of them.")
    parent_based: ParentBased | None = Field(None, description="As its root says.")
    jaeger_remote: Any = Field(None, description="Not supported.")

    def check(self) -> Iterator[Problem]:
        if "jaeger_remote" in self.model_fields_set:
            yield Problem("jaeger_remote", "is not supported", fix="use trace_id_ratio_based")

    def share(self) -> float:
        """Return the share of batches that it keeps."""
        written = self.model_fields_set
        if "always_on" in written:
            return 1.0
        if "always_off" in written:
            return 0.0
        if self.trace_id_ratio_based is not None:
            return self.trace_id_ratio_based.ratio
        root = self.parent_based.root if self.parent_based is not None else None
        return LOW_RATIO if root is None else root.share()


ParentBased.model_rebuild()
