"""A sampler whose configuration comes from a Jaeger collector or agent, and changes with it.

Spec: Tracing SDK, JaegerRemoteSampler; the strategies are Jaeger's ``/sampling`` endpoint.
"""

from __future__ import annotations

import atexit
import encodings.idna  # noqa: F401 - what a thread imports while its process forks, the child lacks
import json
import logging
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

from opentelemetry.trace import SpanKind, TraceState, get_current_span

from heliograph._core import fork_generation
from heliograph.sdk._worker import attach_exporting
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace.sampling import (
    ALWAYS_OFF,
    Decision,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes

_log = logging.getLogger("heliograph.sdk.trace")

ENDPOINT = "http://localhost:5778/sampling"
INTERVAL_MILLIS = 60_000
TIMEOUT = 5.0
"""Seconds to wait for an answer."""


class JaegerRemoteSampler(Sampler):
    """Samples as a Jaeger backend says, which is asked again and again in the background.

    Args:
        service_name: whose strategies; when not given the ``service.name`` of the resource of the
            provider that it samples for, and without a provider that of the variables.
        endpoint: HTTP address of the strategies; ``/sampling`` where it has no path.
        polling_interval_ms: time between two questions, in milliseconds.
        initial_sampler: decides until there is an answer; one trace in a thousand when not given.

    An answer that cannot be had, or makes no sense, is one warning, and what was known stays.
    Raises: ValueError when the interval is not above 0.
    Spec: Tracing SDK, JaegerRemoteSampler.
    """

    def __init__(
        self,
        service_name: str | None = None,
        endpoint: str = ENDPOINT,
        polling_interval_ms: int = INTERVAL_MILLIS,
        initial_sampler: Sampler | None = None,
    ) -> None:
        if polling_interval_ms <= 0:
            raise ValueError(f"polling_interval_ms is {polling_interval_ms}, not above 0")
        self._service = service_name
        self._endpoint = endpoint if endpoint.count("/") > 2 else f"{endpoint}/sampling"
        self._interval = polling_interval_ms / 1000
        self._sampler = initial_sampler or TraceIdRatioBased(0.001)
        self._strategy: Any = None
        self._stopped = threading.Event()
        self._generation: int | None = None
        if service_name:
            self._begin()

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if self._generation != fork_generation():
            self._begin()
        return self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def take_resource(self, resource: Resource) -> None:
        """Ask for the service of a provider's resource, unless a name was given."""
        if not self._service:
            self._service = str(resource.attributes.get("service.name") or _service_name())
        if self._generation is None:
            self._begin()

    def get_description(self) -> str:
        return f"JaegerRemoteSampler{{{self._endpoint},{self._sampler.get_description()}}}"

    def shutdown(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def poll(self) -> None:
        """Ask now. Raises: OSError, ValueError for an answer that makes no sense."""
        strategy = _ask(self._endpoint, self._service or _service_name())
        if strategy != self._strategy:
            self._sampler = sampler_of(strategy)
            self._strategy = strategy

    def _begin(self) -> None:
        self._generation = fork_generation()
        if self._stopped.is_set():
            return
        # A lock that a fork has left taken is of no use.
        self._stopped = threading.Event()
        thread = threading.Thread(
            target=_run,
            args=(weakref.ref(self), self._stopped, self._interval),
            name="heliograph-jaeger-sampler",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:
            return  # The interpreter is shutting down.
        weakref.finalize(self, self._stopped.set)


def _run(found: weakref.ref[JaegerRemoteSampler], stopped: threading.Event, wait: float) -> None:
    """Poll until the sampler is gone, or the program ends."""
    attach_exporting()
    atexit.register(stopped.set)
    failing = False
    while (sampler := found()) is not None:
        try:
            sampler.poll()
            failing = False
        except Exception as error:
            if not failing:
                _log.warning("no sampling strategies from %s: %s", sampler._endpoint, str(error))
            failing = True
        del sampler
        if stopped.wait(wait):
            break
    atexit.unregister(stopped.set)


def _service_name() -> str:
    return str(Resource.create({}).attributes.get("service.name", "unknown_service"))


def _ask(endpoint: str, service: str) -> Any:
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError("the endpoint is no http or https address")
    mark = "&" if "?" in endpoint else "?"
    address = f"{endpoint}{mark}{urlencode({'service': service})}"
    with urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310 - the scheme is checked
        return json.loads(answer.read(1 << 20))


def sampler_of(strategy: Mapping[str, Any]) -> Sampler:
    """Return the sampler that an answer describes. Raises: ValueError."""
    try:
        operations = strategy.get("operationSampling")
        if operations:
            return PerOperation(operations)
        if strategy.get("strategyType") in {"RATE_LIMITING", 1}:
            return RateLimited(float(strategy["rateLimitingSampling"]["maxTracesPerSecond"]))
        return TraceIdRatioBased(float(strategy["probabilisticSampling"]["samplingRate"]))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a sampling strategy: {strategy!r:.200}") from error


class RateLimited(Sampler):
    """At most so many traces a second, and a second's worth at once.

    Args:
        rate: traces a second; below one, bursts of one.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0) if rate > 0 else 0.0
        self._left = self._most
        self._at = time.monotonic()

    def allows(self, now: float) -> bool:
        """Take one, if there is one left at this time in seconds."""
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if not self.allows(time.monotonic()):
            return ALWAYS_OFF.should_sample(parent_context, trace_id, name)
        parent = get_current_span(parent_context).get_span_context()
        state = parent.trace_state if parent.is_valid else None
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)

    def get_description(self) -> str:
        return f"RateLimited{{{self._rate}}}"


class PerOperation(Sampler):
    """A share for each span name, and at least so many a second of each."""

    MOST = 2000
    """Names with a lower bound of their own; further ones have only their share."""

    def __init__(self, strategies: Mapping[str, Any]) -> None:
        self._default = TraceIdRatioBased(float(strategies["defaultSamplingProbability"]))
        self._at_least = float(strategies.get("defaultLowerBoundTracesPerSecond") or 0)
        self._shares = {
            one["operation"]: TraceIdRatioBased(float(one["probabilisticSampling"]["samplingRate"]))
            for one in strategies.get("perOperationStrategies") or ()
        }
        self._bounds: dict[str, RateLimited] = {}

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        share = self._shares.get(name, self._default)
        arguments = (parent_context, trace_id, name, kind, attributes, links, trace_state)
        result = share.should_sample(*arguments)
        bound = self._bounds.get(name)
        if bound is None:
            if not self._at_least or len(self._bounds) >= self.MOST:
                return result
            bound = self._bounds[name] = RateLimited(self._at_least)
        allowed = bound.allows(time.monotonic())
        if not allowed or result.decision.is_sampled():
            return result
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, result.trace_state)

    def get_description(self) -> str:
        return f"PerOperation{{{len(self._shares)},{self._default.get_description()}}}"


def from_argument(argument: str) -> JaegerRemoteSampler:
    """Return the sampler that ``OTEL_TRACES_SAMPLER_ARG`` describes.

    Fields: ``endpoint``, ``pollingIntervalMs``, ``initialSamplingRate``. Raises: ValueError.
    """
    fields: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in argument.split(","))):
        key, _, value = part.partition("=")
        if key not in {"endpoint", "pollingIntervalMs", "initialSamplingRate"}:
            raise ValueError(f"{key!r} is none of endpoint, pollingIntervalMs, initialSamplingRate")
        if not value:
            raise ValueError(f"{key} has no value")
        fields[key] = value
    return JaegerRemoteSampler(
        endpoint=fields.get("endpoint", ENDPOINT),
        polling_interval_ms=int(fields.get("pollingIntervalMs", INTERVAL_MILLIS)),
        initial_sampler=TraceIdRatioBased(float(fields.get("initialSamplingRate", 0.001))),
    )
