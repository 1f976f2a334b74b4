"""Providers and loggers.

Spec: Logs SDK, LoggerProvider and Logger.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs as api
from opentelemetry.trace import get_current_span

from heliograph._core import LogRecorder, LogRoute, Scope
from heliograph.sdk import _variables as variables
from heliograph.sdk._children import in_children
from heliograph.sdk._exit import forget, heed
from heliograph.sdk._fence import failed, fenced
from heliograph.sdk._self_metrics import Reading, observe
from heliograph.sdk.logs._limits import LogRecordLimits
from heliograph.sdk.logs._processors import LogRecordProcessor, SynchronousMultiLogRecordProcessor
from heliograph.sdk.logs._records import ReadWriteLogRecord, with_exception
from heliograph.sdk.resources import Resource
from heliograph.sdk.resources._gather import process_dependent
from heliograph.sdk.util.instrumentation import InstrumentationScope

if TYPE_CHECKING:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.util.types import AnyValue, Attributes

_log = logging.getLogger("heliograph.sdk.logs")


@dataclass(frozen=True)
class LoggerConfig:
    """What a logger configurator says of a scope.

    Spec: Logs SDK, LoggerConfig.
    """

    is_enabled: bool = True
    minimum_severity: int = 0
    """Records below this severity number are dropped; those that have none are not."""
    trace_based: bool = False
    """Records inside of unsampled traces are dropped."""

    @classmethod
    def default(cls) -> LoggerConfig:
        """Return what holds when nobody says."""
        return cls()


Configurator = Callable[[InstrumentationScope], Any]


class Logger(api.Logger):
    """Emits records for one instrumentation scope; made by `LoggerProvider.get_logger`."""

    def __init__(
        self,
        resource: Resource,
        multi_log_record_processor: Any,
        instrumentation_scope: InstrumentationScope,
        *,
        log_record_limits: LogRecordLimits | None = None,
        _logger_config: Any = None,
        _route: LogRoute | None = None,
    ) -> None:
        scope = instrumentation_scope
        super().__init__(scope.name, scope.version, scope.schema_url, scope.attributes)
        self._multi_log_record_processor = multi_log_record_processor
        self._route = _route or route_of(multi_log_record_processor)
        self._instrumentation_scope = instrumentation_scope
        self._log_record_limits = log_record_limits or LogRecordLimits()
        self._set_logger_config(_logger_config or LoggerConfig())
        self._set_resource(resource)

    def _set_resource(self, resource: Resource) -> None:
        self._resource = resource
        self.recorder = LogRecorder(
            self._scope(),
            self._route,
            self._log_record_limits.max_log_record_attributes,
            self._log_record_limits.max_log_record_attribute_length,
        )

    def _begin_in_a_child(self, resource: Resource) -> None:
        """Take another resource, for a record that is on its way already, too."""
        self._resource = resource
        self.recorder.set_scope(self._scope())

    def _scope(self) -> Scope:
        resource, scope = self._resource, self._instrumentation_scope
        return Scope(
            (resource.attributes, resource.schema_url or ""),
            (scope.name, scope.version or "", scope.attributes or {}, scope.schema_url or ""),
        )

    def _set_logger_config(self, logger_config: Any) -> None:
        self._logger_config = logger_config
        # What the official SDK's configurators say knows only whether.
        self._least = int(getattr(logger_config, "minimum_severity", 0) or 0)
        self._trace_based = bool(getattr(logger_config, "trace_based", False))

    def _is_enabled(self) -> bool:
        return bool(self._logger_config.is_enabled)

    def _takes(self, number: Any, context: Any = None) -> bool:
        """Return whether the logger is enabled for a severity number, in a context or the current
        one."""
        if not self._logger_config.is_enabled:
            return False
        if self._least and number and int(getattr(number, "value", number)) < self._least:
            return False
        if not self._trace_based:
            return True
        span = get_current_span(context).get_span_context()
        return not span.is_valid or span.trace_flags.sampled

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """Whose records these are."""
        return self._instrumentation_scope

    @property
    def resource(self) -> Resource:
        """Who records."""
        return self._resource

    def enabled(
        self,
        *,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        event_name: str | None = None,
    ) -> bool:
        """Return whether a record like this would go anywhere."""
        try:
            return self._takes(severity_number, context) and bool(
                self._multi_log_record_processor.enabled(
                    context=context,
                    instrumentation_scope=self._instrumentation_scope,
                    severity_number=severity_number,
                    event_name=event_name,
                )
            )
        except Exception as error:
            failed("Logger.enabled", error)
            return True

    def emit(
        self,
        record: LogRecord | ReadWriteLogRecord | None = None,
        *,
        timestamp: int | None = None,
        observed_timestamp: int | None = None,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        severity_text: str | None = None,
        body: AnyValue | None = None,
        attributes: Attributes = None,
        event_name: str | None = None,
        exception: BaseException | None = None,
    ) -> None:
        """Emit a record, whole or in parts. An exception becomes attributes."""
        try:
            if record is not None:
                self._emit_record(record)
                return
            if not self._takes(severity_number, context):
                return
            attributes = with_exception(attributes, exception)
            if not self.recorder.emit(
                timestamp,
                observed_timestamp,
                context,
                severity_number,
                severity_text,
                body,
                attributes,
                event_name,
            ):
                made = api.LogRecord(
                    timestamp=timestamp,
                    observed_timestamp=observed_timestamp,
                    context=context,
                    severity_number=severity_number,
                    severity_text=severity_text,
                    body=body,
                    attributes=attributes,
                    event_name=event_name,
                    exception=exception,
                )
                self._tell(made)
        except Exception as error:
            failed("Logger.emit", error)

    def _emit_record(self, record: LogRecord | ReadWriteLogRecord) -> None:
        about: Any = getattr(record, "log_record", record)
        if not self._takes(about.severity_number, getattr(about, "context", None)):
            return
        if hasattr(record, "log_record"):
            self._route.count()
            inner = record.log_record
            inner.attributes = with_exception(inner.attributes, inner.exception)
            self._multi_log_record_processor.on_emit(record)
            return
        attributes = with_exception(record.attributes, record.exception)
        if not self.recorder.take(record, attributes):
            if attributes is not record.attributes:
                record = _copy(record, attributes)
            self._tell(record)

    def _tell(self, record: LogRecord) -> None:
        self._route.count()
        whole = ReadWriteLogRecord(
            record, self._resource, self._instrumentation_scope, self._log_record_limits
        )
        self._multi_log_record_processor.on_emit(whole)


def _copy(record: LogRecord, attributes: Any) -> LogRecord:
    copied = api.LogRecord.__new__(type(record))
    vars(copied).update(vars(record), attributes=attributes)
    return copied


def route_of(processor: Any) -> LogRoute:
    if type(processor) is SynchronousMultiLogRecordProcessor:
        return processor.route
    route = LogRoute()
    route.lead(None)
    return route


class LoggerProvider(api.LoggerProvider):
    """Gives loggers, and holds what they share.

    Args:
        resource: who records; `Resource.create` when not given.
        shutdown_on_exit: flush and shut down when the interpreter exits.
        multi_log_record_processor: what tells the processors.
        meter_provider: where metrics about records go (``otel.sdk.log.created``); the global one
            where ``OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED`` is true.
        log_record_limits: how much a record keeps.

    Spec: Logs SDK, LoggerProvider.
    """

    def __init__(
        self,
        resource: Resource | None = None,
        shutdown_on_exit: bool = True,
        multi_log_record_processor: Any = None,
        *,
        meter_provider: MeterProvider | None = None,
        log_record_limits: LogRecordLimits | None = None,
        _logger_configurator: Configurator | None = None,
    ) -> None:
        self._resource = Resource.create({}) if resource is None else resource
        self._multi_log_record_processor = (
            multi_log_record_processor or SynchronousMultiLogRecordProcessor()
        )
        self._route = route_of(self._multi_log_record_processor)
        self._log_record_limits = log_record_limits or LogRecordLimits()
        self._logger_configurator = _logger_configurator
        self._disabled = variables.is_disabled()
        self._loggers: dict[InstrumentationScope, Logger] = {}
        self._lock = threading.RLock()
        heed(self, shutdown_on_exit=shutdown_on_exit)
        in_children(self._in_the_child)
        self.own = observe(self, meter_provider)

    @property
    def resource(self) -> Resource:
        """Who records."""
        return self._resource

    def get_logger(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> api.Logger:
        """Return the logger of a scope; the same one for equal scopes."""
        if self._disabled:
            return api.NoOpLogger(name, version, schema_url, attributes)
        scope = InstrumentationScope(str(name), version, schema_url, attributes)
        with self._lock:
            found = self._loggers.get(scope)
            if found is None:
                found = self._loggers[scope] = Logger(
                    self._resource,
                    self._multi_log_record_processor,
                    scope,
                    log_record_limits=self._log_record_limits,
                    _logger_config=self._config(scope),
                    _route=self._route,
                )
        return found

    def own_readings(self) -> Iterator[Reading]:
        """Yield what this SDK reports on itself."""
        yield "otel.sdk.log.created", self._route.created, {}

    def _config(self, scope: InstrumentationScope) -> Any:
        if self._logger_configurator is None:
            return LoggerConfig()
        try:
            return self._logger_configurator(scope)
        except Exception:
            _log.exception("the logger configurator raised for %s", scope)
            return LoggerConfig()

    def set_logger_configurator(self, logger_configurator: Configurator) -> None:
        """Decide anew which scopes are recorded, loggers that are in use included."""
        self._logger_configurator = logger_configurator
        with self._lock:
            for scope, logger in self._loggers.items():
                logger._set_logger_config(self._config(scope))

    def _set_logger_configurator(self, *, logger_configurator: Configurator) -> None:
        self.set_logger_configurator(logger_configurator)

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """Tell this processor of records, too; they are told in the order in which they come."""
        self._multi_log_record_processor.add_log_record_processor(log_record_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what the processors hold; return whether all of it was sent within the time."""
        return bool(fenced(self._multi_log_record_processor.force_flush, timeout_millis))

    def shutdown(self) -> None:
        """Flush and end the processors and their exporters."""
        fenced(self._multi_log_record_processor.shutdown)
        forget(self)

    def _parts(self) -> list[Any]:
        processors = getattr(self._multi_log_record_processor, "_log_record_processors", ())
        return [one for one in processors if hasattr(one, "begin_leaving")]

    def _leave(self) -> None:
        self._multi_log_record_processor.shutdown()

    def _in_the_child(self) -> None:
        self._lock = threading.RLock()
        self._resource = self._resource.merge(process_dependent(self._resource))
        for logger in self._loggers.values():
            logger._begin_in_a_child(self._resource)
