"""The official SDK's private module for distributions and packages that configure an SDK.

Programs use `heliograph.sdk.configuration`. Names, arguments and behaviour are the official ones:
no exporter unless one is named, and names that are not known raise RuntimeError.
"""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from opentelemetry._logs import set_logger_provider
from opentelemetry.metrics import set_meter_provider
from opentelemetry.trace import set_tracer_provider

from heliograph.sdk import _variables as variables
from heliograph.sdk.configuration import _components as components
from heliograph.sdk.configuration import _environment as environment
from heliograph.sdk.logs import LoggerProvider
from heliograph.sdk.logs.export import BatchLogRecordProcessor
from heliograph.sdk.metrics import MeterProvider
from heliograph.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from heliograph.sdk.resources import Resource
from heliograph.sdk.trace import TracerProvider
from heliograph.sdk.trace.export import BatchSpanProcessor
from heliograph.sdk.trace.sampling import Sampler

_logger = logging.getLogger(__name__)

_EXPORTER_OTLP = "otlp"
_EXPORTER_OTLP_PROTO_GRPC = "otlp_proto_grpc"
_EXPORTER_OTLP_PROTO_HTTP = "otlp_proto_http"

_ENTRY_POINTS = {
    "opentelemetry_traces_exporter": "traces",
    "opentelemetry_metrics_exporter": "metrics",
    "opentelemetry_logs_exporter": "logs",
}


def _import_config_components(
    selected_components: Sequence[str], entry_point_name: str
) -> list[tuple[str, Any]]:
    """Return names with what they stand for. Raises: RuntimeError for an unknown one."""
    found = []
    for name in selected_components:
        try:
            found.append((name, _component(entry_point_name, name)))
        except components.UnknownComponent as error:
            raise RuntimeError(
                f"Requested component '{name}' not found in entry point '{entry_point_name}':"
                f" {error}"
            ) from error
    return found


def _component(group: str, name: str) -> Any:
    if group in _ENTRY_POINTS:
        return components.exporter_class(_ENTRY_POINTS[group], name)
    if group == "opentelemetry_id_generator" and name == "random":
        return type(components.id_generator(name))
    return components.installed(group, name, [])


def _get_exporter_names(signal_type: str) -> list[str]:
    """Return the exporters that a signal's variable names; OTLP by what its protocol is."""
    names = variables.names(f"OTEL_{signal_type.upper()}_EXPORTER")
    if [name.lower() for name in names] == ["none"]:
        return []
    return [
        components.PROTOCOLS[components.protocol(signal_type)] if name == _EXPORTER_OTLP else name
        for name in names
    ]


def _get_sampler() -> str | None:
    return os.environ.get("OTEL_TRACES_SAMPLER")


def _get_id_generator() -> str:
    return variables.text("OTEL_PYTHON_ID_GENERATOR") or "random"


def _import_exporters(
    trace_exporter_names: Sequence[str],
    metric_exporter_names: Sequence[str],
    log_exporter_names: Sequence[str],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the classes of exporters by name. Raises: RuntimeError for an unknown one."""
    return (
        dict(_import_config_components(trace_exporter_names, "opentelemetry_traces_exporter")),
        dict(_import_config_components(metric_exporter_names, "opentelemetry_metrics_exporter")),
        dict(_import_config_components(log_exporter_names, "opentelemetry_logs_exporter")),
    )


def _import_id_generator(id_generator_name: str) -> Any:
    ((_, found),) = _import_config_components([id_generator_name], "opentelemetry_id_generator")
    return found()


def _import_sampler(sampler_name: str | None) -> Sampler | None:
    """Return the sampler that the environment names; None for the default."""
    if not sampler_name:
        return None
    from heliograph.sdk.trace.sampling import _get_from_env_or_default  # noqa: PLC0415 - as needed

    return _get_from_env_or_default()


def _init_tracing(
    exporters: Mapping[str, Any],
    id_generator: Any = None,
    sampler: Sampler | None = None,
    resource: Resource | None = None,
    exporter_args_map: Mapping[Any, Mapping[str, Any]] | None = None,
    span_processors: Sequence[Any] | None = None,
    export_span_processor: Callable[..., Any] | None = None,
    tracer_configurator: Any = None,
) -> None:
    provider = TracerProvider(
        sampler, resource, id_generator=id_generator, tracer_configurator=tracer_configurator
    )
    set_tracer_provider(provider)
    for processor in span_processors or ():
        provider.add_span_processor(processor)
    make = export_span_processor or BatchSpanProcessor
    for cls in exporters.values():
        provider.add_span_processor(make(cls(**(exporter_args_map or {}).get(cls, {}))))


def _init_metrics(
    exporters_or_readers: Mapping[str, Any],
    resource: Resource | None = None,
    exporter_args_map: Mapping[Any, Mapping[str, Any]] | None = None,
    meter_configurator: Any = None,
) -> None:
    readers = []
    for cls in exporters_or_readers.values():
        made = cls(**(exporter_args_map or {}).get(cls, {}))
        is_reader = isinstance(made, MetricReader) or hasattr(made, "_set_collect_callback")
        readers.append(made if is_reader else PeriodicExportingMetricReader(made))
    set_meter_provider(MeterProvider(readers, resource, _meter_configurator=meter_configurator))


def _init_logging(
    exporters: Mapping[str, Any],
    resource: Resource | None = None,
    setup_logging_handler: bool = True,
    exporter_args_map: Mapping[Any, Mapping[str, Any]] | None = None,
    log_record_processors: Sequence[Any] | None = None,
    export_log_record_processor: Callable[..., Any] | None = None,
    logger_configurator: Any = None,
) -> None:
    provider = LoggerProvider(resource, _logger_configurator=logger_configurator)
    set_logger_provider(provider)
    for processor in log_record_processors or ():
        provider.add_log_record_processor(processor)
    make = export_log_record_processor or BatchLogRecordProcessor
    for cls in exporters.values():
        provider.add_log_record_processor(make(cls(**(exporter_args_map or {}).get(cls, {}))))
    if setup_logging_handler:
        from heliograph.sdk.configuration._logging import attach  # noqa: PLC0415 - as needed

        attach(provider)


def _initialize_components(
    auto_instrumentation_version: str | None = None,
    trace_exporter_names: list[str] | None = None,
    metric_exporter_names: list[str] | None = None,
    log_exporter_names: list[str] | None = None,
    sampler: Sampler | None = None,
    resource_attributes: Mapping[str, Any] | None = None,
    id_generator: Any = None,
    setup_logging_handler: bool | None = None,
    exporter_args_map: Mapping[Any, Mapping[str, Any]] | None = None,
    span_processors: Sequence[Any] | None = None,
    export_span_processor: Callable[..., Any] | None = None,
    log_record_processors: Sequence[Any] | None = None,
    export_log_record_processor: Callable[..., Any] | None = None,
    tracer_configurator: Any = None,
    meter_configurator: Any = None,
    logger_configurator: Any = None,
) -> None:
    """Make the three providers global, from arguments and, where there is none, the environment.

    Raises: RuntimeError when an exporter or id generator is not known.
    """
    attributes = dict(resource_attributes or {})
    if auto_instrumentation_version:
        attributes["telemetry.auto.version"] = auto_instrumentation_version
    resource = Resource.create(attributes)
    spans, measured, logged = _import_exporters(
        (trace_exporter_names or []) + _get_exporter_names("traces"),
        (metric_exporter_names or []) + _get_exporter_names("metrics"),
        (log_exporter_names or []) + _get_exporter_names("logs"),
    )
    _init_tracing(
        spans,
        id_generator or _import_id_generator(_get_id_generator()),
        sampler or _import_sampler(_get_sampler()),
        resource,
        exporter_args_map,
        span_processors,
        export_span_processor,
        tracer_configurator or environment.configurator("tracer"),
    )
    _init_metrics(
        measured,
        resource,
        exporter_args_map,
        meter_configurator or environment.configurator("meter"),
    )
    if setup_logging_handler is None:
        setup_logging_handler = variables.flag("OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED")
    _init_logging(
        logged,
        resource,
        setup_logging_handler,
        exporter_args_map,
        log_record_processors,
        export_log_record_processor,
        logger_configurator or environment.configurator("logger"),
    )


class _BaseConfigurator(ABC):
    """Base of what distributions register to configure an SDK; one of each class."""

    _instance: ClassVar[Any] = None
    _is_instrumented: ClassVar[bool] = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    @abstractmethod
    def _configure(self, **kwargs: Any) -> None:
        """Configure the SDK."""

    def configure(self, **kwargs: Any) -> None:
        """Configure the SDK."""
        self._configure(**kwargs)


class _OTelSDKConfigurator(_BaseConfigurator):
    """Configures what `_initialize_components` does; distributions subclass it."""

    def _configure(self, **kwargs: Any) -> None:
        if path := environment.config_file():
            from heliograph.sdk.configuration._file import configure_from_file  # noqa: PLC0415

            if kwargs:
                _logger.warning("OTEL_CONFIG_FILE is set; %s are not used", sorted(kwargs))
            configure_from_file(path)
            return
        _initialize_components(**kwargs)
