"""Private names of the official SDK's log module that packages import."""

from opentelemetry._logs import LogRecord, SeverityNumber

from heliograph.sdk.logs import (
    ConcurrentMultiLogRecordProcessor,
    LogDroppedAttributesWarning,
    Logger,
    LoggerConfig,
    LoggerProvider,
    LoggingHandler,
    LogLimits,
    LogRecordDroppedAttributesWarning,
    LogRecordLimits,
    LogRecordProcessor,
    ReadableLogRecord,
    ReadWriteLogRecord,
    SynchronousMultiLogRecordProcessor,
)
from heliograph.sdk.logs._handler import severity

_LoggerConfig = LoggerConfig
std_to_otel = severity

__all__ = [
    "ConcurrentMultiLogRecordProcessor",
    "LogDroppedAttributesWarning",
    "LogLimits",
    "LogRecord",
    "LogRecordDroppedAttributesWarning",
    "LogRecordLimits",
    "LogRecordProcessor",
    "Logger",
    "LoggerProvider",
    "LoggingHandler",
    "ReadWriteLogRecord",
    "ReadableLogRecord",
    "SeverityNumber",
    "SynchronousMultiLogRecordProcessor",
    "std_to_otel",
]
