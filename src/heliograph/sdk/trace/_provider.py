"""Providers and tracers.

Spec: Tracing SDK, Tracer Provider and Tracer.
"""

from __future__ import annotations

import logging
import threading
from abc import ABCMeta
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as api

from heliograph._core import Route, Scope
from heliograph._core import Tracer as NativeTracer
from heliograph.sdk import _variables as variables
from heliograph.sdk._children import in_children
from heliograph.sdk._exit import forget, heed
from heliograph.sdk._fence import fenced
from heliograph.sdk._self_metrics import Reading, observe
from heliograph.sdk.resources import Resource
from heliograph.sdk.resources._gather import process_dependent
from heliograph.sdk.trace import _helpers, sampling
from heliograph.sdk.trace._limits import SpanLimits
from heliograph.sdk.trace._processors import (
    ConcurrentMultiSpanProcessor,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    ending,
)
from heliograph.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from heliograph.sdk.util._configurator import RuleBasedConfigurator
from heliograph.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.util.types import Attributes

    from heliograph.sdk.trace.sampling import Sampler

_log = logging.getLogger("heliograph.sdk.trace")


@dataclass(frozen=True)
class TracerConfig:
    """What a tracer configurator says of a scope.

    Spec: Tracing SDK, TracerConfig.
    """

    is_enabled: bool = True

    @classmethod
    def default(cls) -> TracerConfig:
        """Return what holds when nobody says."""
        return cls()


Configurator = Callable[[InstrumentationScope], Any]

RuleBasedTracerConfigurator = RuleBasedConfigurator[TracerConfig]

_RESULTS = ("DROP", "RECORD_ONLY", "RECORD_AND_SAMPLE")
_ORIGINS = ("none", "local", "remote")


class _TakesProxies(ABCMeta):
    """Lets ``type(tracer).start_span(proxy, …)`` work, which is how proxies of tracers call it.

    A call on a tracer itself does not come by here.
    """

    @property
    def start_span(cls) -> Callable[..., api.Span]:
        found = next(vars(kind)["start_span"] for kind in cls.__mro__ if "start_span" in vars(kind))
        return _start_inside if found is vars(NativeTracer)["start_span"] else found


def _start_inside(tracer: Any, *args: Any, **kwargs: Any) -> api.Span:
    """Start a span of a tracer, or of the tracer inside proxies such as wrapt's."""
    while hasattr(tracer, "__wrapped__"):
        tracer = tracer.__wrapped__
    started: api.Span = tracer.start_span(*args, **kwargs)
    return started


class Tracer(  # type: ignore[misc] # the API's is a generator
    NativeTracer, api.Tracer, metaclass=_TakesProxies
):
    """Starts spans for one instrumentation scope; made by `TracerProvider.get_tracer`."""

    def __init__(
        self,
        sampler: Sampler,
        resource: Resource,
        span_processor: Any,
        id_generator: IdGenerator,
        instrumentation_info: InstrumentationInfo | None,
        span_limits: SpanLimits,
        instrumentation_scope: InstrumentationScope,
        *,
        meter_provider: MeterProvider | None = None,
        _tracer_config: Any = None,
        _route: Route | None = None,
    ) -> None:
        self._sampler = sampler
        self._resource = resource
        self.span_processor = span_processor
        self._route = _route or route_to(span_processor)
        self._id_generator = id_generator
        self.instrumentation_info = instrumentation_info
        self._span_limits = span_limits
        self._instrumentation_scope = instrumentation_scope
        self._tracer_config = _tracer_config or TracerConfig()
        self._apply()

    @property
    def sampler(self) -> Sampler:
        """Decides which spans are recorded."""
        return self._sampler

    @sampler.setter
    def sampler(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._apply()

    @property
    def resource(self) -> Resource:
        """Who records."""
        return self._resource

    @resource.setter
    def resource(self, resource: Resource) -> None:
        self._set_resource(resource)

    @property
    def id_generator(self) -> IdGenerator:
        """Makes the ids."""
        return self._id_generator

    @id_generator.setter
    def id_generator(self, id_generator: IdGenerator) -> None:
        self._id_generator = id_generator
        self._apply()

    def _set_resource(self, resource: Resource) -> None:
        self._resource = resource
        self._apply()

    def _set_tracer_config(self, tracer_config: Any) -> None:
        self._tracer_config = tracer_config
        self._apply()

    def _is_enabled(self) -> bool:
        return bool(self._tracer_config.is_enabled)

    def _apply(self) -> None:
        """Tell the core."""
        scope, resource = self._instrumentation_scope, self._resource
        is_random = type(self._id_generator) is RandomIdGenerator
        self.setup(
            _helpers.plan(self._sampler),
            None if is_random else self._id_generator,
            native_scope(resource, scope),
            (resource, scope),
            self._route,
            self._span_limits.native(),
            self._is_enabled(),
        )


def native_scope(resource: Resource, scope: InstrumentationScope) -> Scope:
    """Return both in wire form."""
    return Scope(
        (resource.attributes, resource.schema_url or ""),
        (scope.name, scope.version or "", scope.attributes, scope.schema_url or ""),
    )


def route_to(processor: Any) -> Route:
    """Return the way of spans to a processor: our own goes along with the processors in it."""
    if type(processor) is SynchronousMultiSpanProcessor:
        return processor.route
    route = Route()
    route.lead([], (processor.on_start,), (ending(processor),), (processor.on_end,))
    return route


class TracerProvider(api.TracerProvider):
    """Gives tracers, and holds what they share.

    Args:
        sampler: which spans are recorded; from ``OTEL_TRACES_SAMPLER`` when not given.
        resource: who records; `Resource.create` when not given.
        shutdown_on_exit: flush and shut down when the interpreter exits.
        active_span_processor: what tells the processors.
        id_generator: makes the ids; random ones when not given.
        span_limits: how much a span keeps.
        meter_provider: where metrics about spans go (``otel.sdk.span.*``); the global one where
            ``OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`` is true.
        tracer_configurator: gives the `TracerConfig` of a scope, as a
            `RuleBasedTracerConfigurator` does; all are enabled when not given.

    Spec: Tracing SDK, Tracer Provider.
    """

    def __init__(
        self,
        sampler: Sampler | None = None,
        resource: Resource | None = None,
        shutdown_on_exit: bool = True,
        active_span_processor: (
            SynchronousMultiSpanProcessor | ConcurrentMultiSpanProcessor | None
        ) = None,
        id_generator: IdGenerator | None = None,
        span_limits: SpanLimits | None = None,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_configurator: Configurator | None = None,
        _tracer_configurator: Configurator | None = None,
    ) -> None:
        self._active_span_processor: Any = active_span_processor or SynchronousMultiSpanProcessor()
        self._route = route_to(self._active_span_processor)
        self.id_generator = id_generator or RandomIdGenerator()
        self._resource = Resource.create({}) if resource is None else resource
        self.sampler = sampler or sampling._get_from_env_or_default()
        sampling.introduce(self.sampler, self._resource)
        self._span_limits = span_limits or SpanLimits()
        self._disabled = variables.is_disabled()
        self._tracer_configurator = tracer_configurator or _tracer_configurator
        self._tracers: dict[InstrumentationScope, Tracer] = {}
        self._lock = threading.Lock()
        heed(self, shutdown_on_exit=shutdown_on_exit)
        in_children(self._in_the_child)
        self.own = observe(self, meter_provider)

    @property
    def resource(self) -> Resource:
        """Who records."""
        return self._resource

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> api.Tracer:
        """Return the tracer of a scope: name, version, schema URL and attributes; the same one for
        equal scopes."""
        if self._disabled:
            return api.NoOpTracer()
        if not instrumenting_module_name:
            instrumenting_module_name = ""
            _log.error("get_tracer was called without a name")
        elif not isinstance(instrumenting_module_name, str):
            _log.error("get_tracer was called with a name that is no str")
            instrumenting_module_name = str(instrumenting_module_name)
        scope = InstrumentationScope(
            instrumenting_module_name, instrumenting_library_version or "", schema_url, attributes
        )
        with self._lock:
            found = self._tracers.get(scope)
            if found is None:
                found = self._tracers[scope] = Tracer(
                    self.sampler,
                    self._resource,
                    self._active_span_processor,
                    self.id_generator,
                    InstrumentationInfo(scope.name, scope.version, scope.schema_url),
                    self._span_limits,
                    scope,
                    _tracer_config=self._config(scope),
                    _route=self._route,
                )
        return found

    def own_readings(self) -> Iterator[Reading]:
        """Yield what this SDK reports on itself."""
        counts = self._route.counts()
        for at, result in enumerate(_RESULTS):
            about = {"otel.span.sampling_result": result}
            started = counts[3 * at : 3 * at + 3]
            for origin, count in zip(_ORIGINS, started, strict=True):
                if count:
                    more = about | {"otel.span.parent.origin": origin}
                    yield "otel.sdk.span.started", count, more
            if at and any(started):
                # A child of a fork also ends what its parent started.
                live = max(0, sum(started) - counts[8 + at])
                yield "otel.sdk.span.live", live, about

    def _config(self, scope: InstrumentationScope) -> Any:
        if self._tracer_configurator is None:
            return TracerConfig()
        try:
            return self._tracer_configurator(scope)
        except Exception:
            _log.exception("the tracer configurator raised for %s", scope)
            return TracerConfig()

    def set_tracer_configurator(self, tracer_configurator: Configurator) -> None:
        """Decide anew which scopes are recorded, tracers that are in use included."""
        self._tracer_configurator = tracer_configurator
        with self._lock:
            for scope, tracer in self._tracers.items():
                tracer._set_tracer_config(self._config(scope))

    def _set_tracer_configurator(self, *, tracer_configurator: Configurator) -> None:
        self.set_tracer_configurator(tracer_configurator)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Tell this processor of spans, too; they are told in the order in which they come."""
        self._active_span_processor.add_span_processor(span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what the processors hold; return whether all of it was sent within the time."""
        return bool(fenced(self._active_span_processor.force_flush, timeout_millis))

    def shutdown(self) -> None:
        """Flush and end the processors and their exporters."""
        fenced(self._active_span_processor.shutdown)
        forget(self)

    def _parts(self) -> list[Any]:
        processors = getattr(self._active_span_processor, "_span_processors", ())
        return [one for one in processors if hasattr(one, "begin_leaving")]

    def _leave(self) -> None:
        self._active_span_processor.shutdown()

    def _in_the_child(self) -> None:
        self._lock = threading.Lock()
        self._update_resource(process_dependent(self._resource))

    def _update_resource(self, resource: Resource) -> None:
        with self._lock:
            self._resource = self._resource.merge(resource)
            for tracer in self._tracers.values():
                tracer._set_resource(self._resource)
