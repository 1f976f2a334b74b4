"""Providers from a declarative file.

Spec: Declarative Configuration, file format 1.0. Environment variables count only where the file
refers to them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from heliograph.sdk import _variables as variables
from heliograph.sdk.configuration import _environment as environment
from heliograph.sdk.configuration._configured import Configured, Destination
from heliograph.sdk.configuration._file_metrics import meter_provider
from heliograph.sdk.configuration._file_parts import exporter, resource
from heliograph.sdk.configuration._instrumentation import variables_of
from heliograph.sdk.configuration._samplers import plugin, sampler
from heliograph.sdk.configuration._scopes import configurator
from heliograph.sdk.configuration._yaml import Item, Map, read

Make = Callable[[], Any]

_log = logging.getLogger("heliograph.sdk.configuration")

DEPTH = 64
"""Levels of a value that are kept when nobody says, by the schema."""

_LEVELS = {"trace": 10, "debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50}


def configure_from_file(
    path: str, *, replaceable: bool = False, logging_handler: bool | None = None
) -> Configured:
    """As `heliograph.sdk.configuration.configure_from_file`."""
    item, source = read(path)
    plan = Plan(item.map())
    source.check()
    made = plan.make()
    if made.is_disabled:
        return made
    environment.install(made, replaceable=replaceable)
    if logging_handler is not False and made.logger_provider is not None:
        from heliograph.sdk.configuration._logging import attach  # noqa: PLC0415 - as needed

        made.logging_handler, detach = attach(made.logger_provider)
        made._undo.append(detach)
    return made


class Plan:
    """What a file says; what is wrong is noted as a problem of its source."""

    def __init__(self, top: Map) -> None:
        version = top.get("file_format", required=True)
        if version is not None and str(version.plain()).partition(".")[0] != "1":
            version.problem(f"is {version.plain()!r}, not 1.0", 'write "1.0"')
        self._disabled = bool(top.value("disabled", bool))
        names = [f"{level}{step}" for level in _LEVELS for step in ("", "2", "3", "4")]
        self._level = top.choice("log_level", names)
        limits = top.map("attribute_limits")
        common = {} if limits is None else _limits(limits, [])
        self._about = resource(top.map("resource"))
        self._propagate = _propagators(top.map("propagator"))
        self._destinations: list[Destination] = []
        self._providers: list[Callable[[Any], Any]] = [
            _tracer_provider(top.map("tracer_provider"), common, self._destinations),
            meter_provider(top.map("meter_provider"), self._destinations),
            _logger_provider(top.map("logger_provider"), common, self._destinations),
        ]
        self._instrumentations = variables_of(top.get("instrumentation/development"))
        top.get("distribution")  # a vendor's, who reads it
        top.done()

    def make(self) -> Configured:
        """Make the providers, none of them global; the propagator is, also when disabled."""
        if self._level is not None:
            environment.set_log_level(_LEVELS[self._level.rstrip("234")])
        made = Configured(is_disabled=self._disabled)
        self._propagate()
        if self._disabled:
            return made
        os.environ.update(self._instrumentations)
        about = self._about()
        with variables.unread():
            tracing, measuring, logged = (make(about) for make in self._providers)
        made.tracer_provider, made.meter_provider, made.logger_provider = tracing, measuring, logged
        made.destinations = self._destinations
        return made


def _limits(options: Map, more: list[str]) -> dict[str, Any]:
    """Return the limits that are given."""
    keys = ["attribute_count_limit", "attribute_value_length_limit", *more]
    found = {key: options.number(key) for key in keys}
    if (options.number("attribute_value_depth_limit", least=1) or DEPTH) != DEPTH:
        _log.warning("attribute_value_depth_limit is not used; values are kept at any depth")
    options.done()
    return {key: value for key, value in found.items() if value is not None}


def _propagators(options: Map | None) -> Make:
    named: list[tuple[str, Item]] = []
    if options is not None:
        found = [item.map().one() for item in options.elements("composite")]
        named = [one for one in found if one is not None]
        listed = options.get("composite_list")
        for name in (options.text("composite_list") or "").split(","):
            if name.strip() and listed is not None:
                named.append((name.strip(), listed))
        options.done()
    from heliograph.sdk.propagators import _configure  # noqa: PLC0415 - imports what it finds

    good = []
    for name, item in named:
        try:
            _configure.from_names([name])
        except _configure.PropagatorError as error:
            said, _, fix = str(error).removeprefix("OTEL_PROPAGATORS: ").partition(": ")
            item.problem(said, fix)
        else:
            good.append(name)
    made = _configure.from_names(good or ["none"])
    return lambda: _configure._propagate().set_global_textmap(made)


def _processors(
    options: Map, signal: str, destinations: list[Destination], simple: Any, batch: Any
) -> list[Make]:
    made = []
    for item in options.elements("processors", required=True):
        found = item.map().one()
        if found is None:
            continue
        name, inner = found
        if name == _BRIDGE and signal == "logs":
            inner.map().done()
            made.append(_bridge)
            continue
        if name not in {"batch", "simple"}:
            kind = {"traces": "span", "logs": "log_record"}[signal]
            made.append(plugin(inner, f"opentelemetry_{kind}_processor", name, ["batch", "simple"]))
            continue
        settings = inner.map()
        target = exporter(settings.get("exporter", required=True), signal, destinations)
        if name == "simple":
            made.append(partial(_made, simple, target, {}))
        else:
            made.append(partial(_made, batch, target, _batching(settings)))
        settings.done()
    return made


def _batching(settings: Map) -> dict[str, Any]:
    """Return what a batch processor takes."""
    delay, timeout = settings.number("schedule_delay"), settings.number("export_timeout")
    most = settings.number("max_queue_size", least=1)
    size = settings.number("max_export_batch_size", least=1)
    if size is not None and size > (most or size):
        item = settings.get("max_export_batch_size")
        if item is not None:
            item.problem(f"is {size}, above max_queue_size ({most})", f"use {most}")
    values = {
        "schedule_delay_millis": delay if delay is None else delay or 1,
        "export_timeout_millis": timeout if timeout is None else timeout or variables.NO_LIMIT,
        "max_queue_size": most,
        "max_export_batch_size": size,
    }
    return {key: value for key, value in values.items() if value is not None}


_BRIDGE = "event_to_span_event_bridge/development"


def _bridge() -> Any:
    from heliograph.sdk.logs import EventToSpanEventBridge  # noqa: PLC0415 - seldom needed

    return EventToSpanEventBridge()


def _made(cls: Any, target: Make, given: dict[str, Any]) -> Any:
    return cls(target(), **given)


def _tracer_provider(options: Map | None, common: dict[str, Any], to: list[Destination]) -> Any:
    if options is None:
        return lambda about: None
    from heliograph.sdk.trace import SpanLimits, TracerConfig, TracerProvider  # noqa: PLC0415
    from heliograph.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415

    processors = _processors(options, "traces", to, SimpleSpanProcessor, BatchSpanProcessor)
    more = ["event_count_limit", "link_count_limit"]
    more += ["event_attribute_count_limit", "link_attribute_count_limit"]
    limits = options.map("limits")
    given = common | ({} if limits is None else _limits(limits, more))
    samples = sampler(options.get("sampler"))
    ids: Make = lambda: None  # noqa: E731
    item = options.get("id_generator")
    if item is not None and (found := item.map().one()) is not None and found[0] != "random":
        ids = plugin(found[1], "opentelemetry_id_generator", found[0], ["random"])
    where = options.get("tracer_configurator/development")
    decide = configurator(where, "tracers", TracerConfig)
    options.done()

    def make(about: Any) -> Any:
        count = given.get("attribute_count_limit", 128)
        length = given.get("attribute_value_length_limit", SpanLimits.UNSET)
        provider = TracerProvider(
            samples(),
            about,
            id_generator=ids(),
            span_limits=SpanLimits(
                max_attributes=common.get("attribute_count_limit", 128),
                max_span_attributes=count,
                max_attribute_length=common.get("attribute_value_length_limit", SpanLimits.UNSET),
                max_span_attribute_length=length,
                max_events=given.get("event_count_limit", 128),
                max_links=given.get("link_count_limit", 128),
                max_event_attributes=given.get("event_attribute_count_limit", 128),
                max_link_attributes=given.get("link_attribute_count_limit", 128),
            ),
            tracer_configurator=decide,
        )
        for processor in processors:
            provider.add_span_processor(processor())
        return provider

    return make


def _logger_provider(options: Map | None, common: dict[str, Any], to: list[Destination]) -> Any:
    if options is None:
        return lambda about: None
    from heliograph.sdk.logs import LoggerConfig, LoggerProvider, LogRecordLimits  # noqa: PLC0415
    from heliograph.sdk.logs.export import (  # noqa: PLC0415
        BatchLogRecordProcessor,
        SimpleLogRecordProcessor,
    )

    makers = _processors(options, "logs", to, SimpleLogRecordProcessor, BatchLogRecordProcessor)
    limits = options.map("limits")
    given = common | ({} if limits is None else _limits(limits, []))
    where = options.get("logger_configurator/development")
    decide = configurator(where, "loggers", LoggerConfig)
    options.done()

    def make(about: Any) -> Any:
        provider = LoggerProvider(
            about,
            log_record_limits=LogRecordLimits(
                max_log_record_attributes=given.get("attribute_count_limit", 128),
                max_log_record_attribute_length=given.get("attribute_value_length_limit", -1),
            ),
            _logger_configurator=decide,
        )
        for processor in makers:
            provider.add_log_record_processor(processor())
        return provider

    return make
