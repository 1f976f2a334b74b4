"""Push log records to Grafana Loki.

YAML: ``exporters: loki``, logs only. Fields: `Config`. As the last lokiexporter of the Go
collector: records become JSON lines in streams whose labels are ``exporter``, ``job`` (namespace
and name of the service), ``instance``, ``level`` and whatever the hints name. Hints are attributes:
``loki.resource.labels`` and ``loki.attribute.labels`` name attributes that become labels (and leave
the line), ``loki.tenant`` names the attribute that has the tenant, ``loki.format`` is json, logfmt
or raw. With ``structured_metadata: true`` the line is the body, the labels are the resource
attributes that Loki indexes by default, and the rest is structured metadata, as on Loki's own OTLP
endpoint; of the hints only ``loki.tenant`` counts then.
Refusals: 4xx but 429 are final, everything else is tried again, after ``Retry-After`` where given.
Records without any label, or with another format, cannot be sent; they are dropped and counted.
Source: the Collector's lokiexporter and pkg/translator/loki; Loki's pkg/loghttp/push.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from heliograph._core import LokiRules
from heliograph.errors import Problem, Reject, Retry, TooLarge, WireError
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.delivery import DeliveryConfig
from heliograph.pipeline.edge_client import Poster
from heliograph.pipeline.fields import Duration, Field
from heliograph.pipeline.net_client import HttpClientConfig, bare
from heliograph.pipeline.sparingly import Sparingly

INDEXED = (
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
)
"""Resource attributes that Loki's OTLP endpoint makes labels, by default."""

_SAID = 1024
"""Bytes of an answer that are repeated in an error."""


class DefaultLabels(ComponentConfig):
    """``default_labels_enabled``."""

    exporter: bool = Field(True, description='exporter="OTLP".')
    job: bool = Field(True, description="service.namespace/service.name.")
    instance: bool = Field(True, description="service.instance.id.")
    level: bool = Field(True, description="The severity, unless there is an attribute level.")


class Config(DeliveryConfig, HttpClientConfig):
    timeout: Duration = Field("30s", ge=0, description="Bound of one attempt; 0 for none.")
    compression: Literal["gzip", "snappy", "none", ""] = Field(
        "", description="Compression of requests in JSON; protobuf is always in snappy."
    )
    default_labels_enabled: DefaultLabels = Field(
        DefaultLabels(), description="Labels that records get without being told to."
    )
    structured_metadata: bool = Field(
        False, description="Lines are bodies, all else is labels and structured metadata."
    )
    encoding: Literal["proto", "json"] = Field("proto", description="Form of the requests.")

    def check(self) -> Iterator[Problem]:
        yield from super().check()
        parts = urlsplit(self.endpoint)
        if not self.endpoint:
            yield Problem("endpoint", "is missing", fix="write http://loki:3100/loki/api/v1/push")
        elif parts.scheme not in ("http", "https") or not parts.hostname:
            host = self.endpoint.rpartition("://")[2].rpartition("@")[2].partition("/")[0]
            yield Problem(
                "endpoint",
                f"is '{self.endpoint}', not a URL",
                fix=f"write http://{host}/loki/api/v1/push",
            )
        if self.encoding == "proto" and self.compression not in ("none", ""):
            yield Problem(
                "compression",
                f"is {self.compression}, but protobuf is sent in snappy",
                fix="remove it, or set encoding: json",
            )
        if self.structured_metadata and self.default_labels_enabled != DefaultLabels():
            yield Problem(
                "default_labels_enabled", "has no effect together with structured_metadata"
            )


def rules(config: Config) -> LokiRules:
    """Return what translates batches."""
    labels = config.default_labels_enabled
    return LokiRules(
        exporter=labels.exporter,
        job=labels.job,
        instance=labels.instance,
        level=labels.level,
        index=INDEXED if config.structured_metadata else None,
        json=config.encoding == "json",
    )


class Exporter:
    """Translates on a thread, then posts a request for each tenant."""

    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.LOGS})

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._rules = rules(config)
        self._now_ns = settings.clock.time_ns
        self._say = Sparingly(settings.log, settings.clock.monotonic)
        kind = "x-protobuf" if config.encoding == "proto" else "json"
        self._content_type = f"application/{kind}"
        self._dropped = {
            reason: settings.telemetry.items(
                "heliograph_exporter_dropped_{}", exporter=str(settings.id), reason=reason
            )[Signal.LOGS]
            for reason in ("no_labels", "unknown_format")
        }

    async def start(self) -> None:
        config = self._config
        self._poster = Poster(config, self._settings, config.endpoint, timeout=config.timeout)

    async def consume(self, batch: Batch) -> int:
        try:
            pushes = await asyncio.to_thread(self._rules.apply, batch, self._now_ns())
        except WireError as error:
            raise Reject(str(error)) from error
        posts = (self._post(tenant, body) for tenant, _, body in pushes.requests)
        failures = [
            outcome
            for outcome in await asyncio.gather(*posts, return_exceptions=True)
            if outcome is not None
        ]
        # What was pushed already is pushed again: Loki takes the same record once.
        for kind in (Retry, Reject, BaseException):
            for failure in failures:
                if isinstance(failure, kind):
                    raise failure
        self._drop("no_labels", pushes.unlabelled, "without any label")
        self._drop("unknown_format", pushes.unformatted, "with a loki.format that is unknown")
        return pushes.unlabelled + pushes.unformatted

    async def stop(self) -> None:
        """Connections close with the last reference to the client."""
        self.__dict__.pop("_poster", None)

    async def _post(self, tenant: str, body: bytes) -> None:
        headers = {"Content-Type": self._content_type}
        if tenant:
            headers["X-Scope-OrgID"] = tenant
        url = self._config.endpoint
        answer = await self._poster.post(url, body, headers)
        status = answer.status
        if 200 <= status < 300:
            return
        said = answer.body[:_SAID].decode(errors="replace").strip()
        reason = f"{self._settings.id}: {bare(url)}: HTTP {status}: {said}"
        if 400 <= status < 500 and status != HTTPStatus.TOO_MANY_REQUESTS:
            too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise (TooLarge if too_large else Reject)(reason)
        raise Retry(reason, answer.retry_after)

    def _drop(self, reason: str, count: int, what: str) -> None:
        if count:
            self._dropped[reason].value += count
            self._say.error(reason, f"drops {count} records {what}")
