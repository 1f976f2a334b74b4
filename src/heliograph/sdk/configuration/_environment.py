"""Providers from the ``OTEL_*`` variables."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from opentelemetry import _logs, metrics, trace

from heliograph.sdk import _variables as variables
from heliograph.sdk._correlation import correlate_from_environment
from heliograph.sdk.configuration import _components as components
from heliograph.sdk.configuration._configured import Configured, Destination
from heliograph.sdk.resources import Resource
from heliograph.sdk.resources._gather import USUAL

_log = logging.getLogger("heliograph.sdk.configuration")

LEVELS = {
    "none": logging.CRITICAL + 1,
    "fatal": logging.CRITICAL,
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
    "all": logging.NOTSET + 1,
}


def configure_from_environment(
    *,
    resource_attributes: Mapping[str, Any] | None = None,
    default_exporter: str = "otlp",
    logging_handler: bool | None = None,
    replaceable: bool = False,
) -> Configured:
    """Make the three providers, the propagator and the logging handler, and make them global.

    Nothing here raises because of a variable, except ``OTEL_CONFIG_FILE``, whose file then says
    everything: what cannot be used is one warning each.

    Raises: ConfigurationError, a ValueError, when the file is wrong; OSError; ImportError without
        PyYAML.

    Args:
        resource_attributes: over what detectors find; the environment's win over them.
        default_exporter: of each signal whose ``OTEL_{SIGNAL}_EXPORTER`` is not set.
        logging_handler: take what `logging` logs; when None,
            ``OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED`` decides, which is true when unset.
        replaceable: let a provider that the program sets later take over, with everything that was
            made before it; default exporters then go, those that a variable names stay unless the
            program's provider has the same destination.
    """
    if path := config_file():
        from heliograph.sdk.configuration._file import configure_from_file  # noqa: PLC0415

        return configure_from_file(path, replaceable=replaceable, logging_handler=logging_handler)
    set_log_level()
    set_propagator()
    correlate_from_environment()
    resource = Resource._create(own_attributes(resource_attributes), detectors=USUAL)
    made = Configured(is_disabled=variables.flag("OTEL_SDK_DISABLED"))
    exporters = (
        {}
        if made.is_disabled
        else {
            signal: exporters_of(signal, default_exporter, made.destinations)
            for signal in components.SIGNALS
        }
    )
    made.tracer_provider = tracer_provider(resource, exporters.get("traces", []))
    made.meter_provider = meter_provider(resource, exporters.get("metrics", []))
    made.logger_provider = logger_provider(resource, exporters.get("logs", []))
    install(made, replaceable=replaceable)
    if logging_handler is None:
        logging_handler = variables.flag("OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED", True)
    if logging_handler and not made.is_disabled:
        from heliograph.sdk.configuration._logging import attach  # noqa: PLC0415 - as needed

        made.logging_handler, detach = attach(made.logger_provider)
        made._undo.append(detach)
    for destination in made.destinations:
        _log.info("%s", destination)
    return made


def config_file() -> str:
    """Return the path of the declarative file, also by the name that is deprecated."""
    return variables.text("OTEL_CONFIG_FILE") or variables.text("OTEL_EXPERIMENTAL_CONFIG_FILE")


class _Shown(logging.StreamHandler[Any]):
    """Shows what our loggers say where the program shows nothing: Python alone shows warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)


def set_log_level(level: int | None = None) -> None:
    """Let our own loggers say what is at this level or above; ``OTEL_LOG_LEVEL`` when None."""
    if level is None:
        if not variables.text("OTEL_LOG_LEVEL"):
            return
        level = LEVELS[variables.choice("OTEL_LOG_LEVEL", LEVELS, "warn")]
    ours = logging.getLogger("heliograph")
    ours.setLevel(level)
    if level < logging.WARNING and not any(isinstance(one, _Shown) for one in ours.handlers):
        ours.addHandler(_Shown())


def set_propagator() -> None:
    """Use the propagators that ``OTEL_PROPAGATORS`` names; W3C's where one of them is not there."""
    from heliograph.sdk.propagators import _configure  # noqa: PLC0415 - imports what it finds

    try:
        _configure.configure()
    except _configure.PropagatorError as error:
        _log.warning("%s; using %s", error, _configure.DEFAULT)
        made = _configure.from_names(_configure.DEFAULT.split(","))
        _configure._propagate().set_global_textmap(made)


def own_attributes(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return attributes without those that the environment says otherwise."""
    from heliograph.sdk.resources import OTELResourceDetector  # noqa: PLC0415 - as needed

    said = OTELResourceDetector().detect().attributes
    return {key: value for key, value in (given or {}).items() if key not in said}


def exporters_of(signal: str, default: str, found: list[Destination]) -> list[Any]:
    """Make the exporters that ``OTEL_{SIGNAL}_EXPORTER`` names, and note where they go."""
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    names = variables.names(variable)
    is_named = bool(names) or any(
        variables.text(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT") for part in (f"{signal.upper()}_", "")
    )
    if "none" in names:
        names = []
    elif not names and default != "none":
        names = [default]
    made = []
    for name in names:
        try:
            exporter = components.exporter_class(signal, name)()
        except components.UnknownComponent as error:
            _log.warning("%s: %s; it is left out", variable, error)
            continue
        except Exception as error:
            _log.warning("%s: %s cannot be made and is left out: %s", variable, name, error)
            continue
        exporter._is_default = not is_named
        made.append(exporter)
        found.append(Destination(signal, name, where(exporter), is_named))
    return made


def where(exporter: Any) -> str:
    """Return what messages call the place that an exporter sends to."""
    endpoint = getattr(exporter, "_endpoint", None)
    if endpoint:
        return str(endpoint)
    path = getattr(getattr(exporter, "_sender", None), "_path", None)
    if path is not None:
        return str(path)
    name = type(exporter).__name__
    return "stdout" if name.startswith(("Console", "File")) else name.lstrip("_")


def tracer_provider(resource: Resource, exporters: list[Any]) -> Any:
    """Make a provider of tracers with a batch processor for each exporter."""
    from heliograph.sdk.trace import TracerProvider  # noqa: PLC0415 - as needed
    from heliograph.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as needed

    name = variables.text("OTEL_PYTHON_ID_GENERATOR")
    try:
        ids = components.id_generator(name)
    except Exception as error:
        _log.warning("OTEL_PYTHON_ID_GENERATOR: %s; using random", error)
        ids = None
    provider = TracerProvider(
        resource=resource, id_generator=ids, tracer_configurator=configurator("tracer")
    )
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def meter_provider(resource: Resource, exporters: list[Any]) -> Any:
    """Make a provider of meters with a reader for each exporter that is none itself."""
    from heliograph.sdk.metrics import MeterProvider  # noqa: PLC0415 - as needed
    from heliograph.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    readers = [
        one if hasattr(one, "_set_collect_callback") else PeriodicExportingMetricReader(one)
        for one in exporters
    ]
    return MeterProvider(readers, resource, _meter_configurator=configurator("meter"))


def logger_provider(resource: Resource, exporters: list[Any]) -> Any:
    """Make a provider of loggers with a batch processor for each exporter."""
    from heliograph.sdk.logs import LoggerProvider  # noqa: PLC0415 - as needed
    from heliograph.sdk.logs.export import BatchLogRecordProcessor  # noqa: PLC0415 - as needed

    provider = LoggerProvider(resource, _logger_configurator=configurator("logger"))
    for exporter in exporters:
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return provider


def configurator(kind: str) -> Any:
    """Return what ``OTEL_PYTHON_{KIND}_CONFIGURATOR`` names, None when it names nothing."""
    variable = f"OTEL_PYTHON_{kind.upper()}_CONFIGURATOR"
    name = variables.text(variable)
    if not name:
        return None
    try:
        return components.installed(f"_opentelemetry_{kind}_configurator", name, [])
    except components.UnknownComponent as error:
        _log.warning("%s: %s; all scopes are enabled", variable, error)
        return None


def install(made: Configured, *, replaceable: bool) -> None:
    """Make the providers global, where the program has set none yet."""
    if replaceable:
        from heliograph.sdk.configuration._takeover import install_replaceable  # noqa: PLC0415

        install_replaceable(made)
        return
    if made.tracer_provider is not None:
        trace.set_tracer_provider(made.tracer_provider)
    if made.meter_provider is not None:
        metrics.set_meter_provider(made.meter_provider)
    if made.logger_provider is not None:
        _logs.set_logger_provider(made.logger_provider)
