"""Providers from a declarative file.

Spec: Declarative Configuration, file format 1.0. Environment variables count only where the file
refers to them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from heliograph.sdk.configuration import _environment as environment
from heliograph.sdk.configuration._configured import Configured, Destination
from heliograph.sdk.configuration._file_metrics import meter_provider
from heliograph.sdk.configuration._file_parts import exporter, resource
from heliograph.sdk.configuration._samplers import plugin, sampler
from heliograph.sdk.configuration._yaml import Item, Map, read

Make = Callable[[], Any]

_LEVELS = {"trace": 10, "debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50}


def configure_from_file(path: str, *, replaceable: bool = False) -> Configured:
    """Make what a file says, and make it global.

    Raises: ConfigurationError with everything that is wrong; OSError.
    """
    item, source = read(path)
    made = Configured()
    top = item.map()
    version = top.get("file_format", required=True)
    if version is not None and str(version.plain()).partition(".")[0] != "1":
        version.problem(f"is {version.plain()!r}, not 1.0", 'write "1.0"')
    made.is_disabled = bool(top.value("disabled", bool))
    names = [f"{level}{step}" for level in _LEVELS for step in ("", "2", "3", "4")]
    level = top.choice("log_level", names)
    limits = top.map("attribute_limits")
    common = {} if limits is None else _limits(limits, [])
    about = resource(top.map("resource"))
    propagators = _propagators(top.map("propagator"))
    destinations: list[Destination] = []
    makers: list[Callable[[Any], Any]] = [
        _tracer_provider(top.map("tracer_provider"), common, destinations),
        meter_provider(top.map("meter_provider"), destinations),
        _logger_provider(top.map("logger_provider"), common, destinations),
    ]
    # For instrumentations and vendors; what they hold is theirs.
    for key in ("instrumentation/development", "distribution"):
        top.get(key)
    top.done()
    source.check()
    if level is not None:
        logging.getLogger("heliograph").setLevel(_LEVELS[level.rstrip("234")])
    if made.is_disabled:
        return made
    propagators()
    found = about()
    tracing, measuring, logged = (make(found) for make in makers)
    made.tracer_provider, made.meter_provider, made.logger_provider = tracing, measuring, logged
    made.destinations = destinations
    environment.install(made, replaceable=replaceable)
    return made


def _limits(options: Map, more: list[str]) -> dict[str, Any]:
    """Return the limits that are given."""
    keys = ["attribute_count_limit", "attribute_value_length_limit", *more]
    found = {key: options.number(key) for key in keys}
    if options.number("attribute_value_depth_limit", least=1) is not None:
        logging.getLogger("heliograph.sdk.configuration").warning(
            "attribute_value_depth_limit is not used; values are kept at any depth"
        )
    options.done()
    return {key: value for key, value in found.items() if value is not None}


def _propagators(options: Map | None) -> Make:
    names: list[str] = []
    if options is not None:
        for item in options.elements("composite"):
            found = item.map().one()
            if found is not None:
                names.append(found[0])
        names += (options.text("composite_list") or "").split(",")
        options.done()
    from heliograph.sdk.propagators import _configure  # noqa: PLC0415 - imports what it finds

    try:
        made = _configure.from_names(names or ["none"])
    except _configure.PropagatorError as error:
        if options is not None:
            options.item.problem(str(error).removeprefix("OTEL_PROPAGATORS: "))
        return lambda: None
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
        if name not in {"batch", "simple"}:
            kind = {"traces": "span", "logs": "log_record"}[signal]
            made.append(plugin(inner, f"opentelemetry_{kind}_processor", name, ["batch", "simple"]))
            continue
        settings = inner.map()
        target = exporter(settings.get("exporter", required=True), signal, destinations)
        if name == "simple":
            made.append(partial(_made, simple, target, {}))
        else:
            values = {
                "schedule_delay_millis": settings.number("schedule_delay", least=1),
                "export_timeout_millis": settings.number("export_timeout"),
                "max_queue_size": settings.number("max_queue_size", least=1),
                "max_export_batch_size": settings.number("max_export_batch_size", least=1),
            }
            given = {key: value for key, value in values.items() if value is not None}
            made.append(partial(_made, batch, target, given))
        settings.done()
    return made


def _made(cls: Any, target: Make, given: dict[str, Any]) -> Any:
    return cls(target(), **given)


def _configurator(item: Item | None, kind: str, make: Any) -> Any:
    """Return what decides about scopes by the patterns of their names."""
    if item is None:
        return None
    from fnmatch import fnmatchcase  # noqa: PLC0415 - seldom needed

    from heliograph.sdk.util._configurator import RuleBasedConfigurator  # noqa: PLC0415

    options = item.map()
    default = _enabled(options.map("default_config"))
    rules = []
    for one in options.elements(kind):
        rule = one.map()
        pattern = rule.text("name", required=True) or ""
        on = _enabled(rule.map("config", required=True))
        rule.done()
        rules.append((lambda scope, pattern=pattern: fnmatchcase(scope.name, pattern), make(on)))
    options.done()
    return RuleBasedConfigurator(rules=rules, default_config=make(default))


def _enabled(options: Map | None) -> bool:
    if options is None:
        return True
    found = options.value("enabled", bool)
    for key in ("minimum_severity", "trace_based"):
        options.get(key)
    options.done()
    return found is not False


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
    configurator = _configurator(where, "tracers", TracerConfig)
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
            tracer_configurator=configurator,
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
    configurator = _configurator(where, "loggers", LoggerConfig)
    options.done()

    def make(about: Any) -> Any:
        provider = LoggerProvider(
            about,
            log_record_limits=LogRecordLimits(
                max_log_record_attributes=given.get("attribute_count_limit", 128),
                max_log_record_attribute_length=given.get("attribute_value_length_limit", -1),
            ),
            _logger_configurator=configurator,
        )
        for processor in makers:
            provider.add_log_record_processor(processor())
        return provider

    return make
