"""Log records: providers, loggers, processors, limits, and a handler for `logging`.

`heliograph.sdk._logs` is this module under the name that it has in the official SDK.

Spec: Logs SDK.
"""

from heliograph.sdk.logs._bridge import EventToSpanEventBridge
from heliograph.sdk.logs._handler import LoggingHandler
from heliograph.sdk.logs._limits import LogRecordLimits
from heliograph.sdk.logs._processors import (
    ConcurrentMultiLogRecordProcessor,
    LogRecordProcessor,
    SynchronousMultiLogRecordProcessor,
)
from heliograph.sdk.logs._provider import Logger, LoggerConfig, LoggerProvider
from heliograph.sdk.logs._records import (
    LogRecordDroppedAttributesWarning,
    ReadableLogRecord,
    ReadWriteLogRecord,
)

# What these were called before.
LogDroppedAttributesWarning = LogRecordDroppedAttributesWarning
LogLimits = LogRecordLimits

__all__ = [
    "ConcurrentMultiLogRecordProcessor",
    "EventToSpanEventBridge",
    "LogDroppedAttributesWarning",
    "LogLimits",
    "LogRecordDroppedAttributesWarning",
    "LogRecordLimits",
    "LogRecordProcessor",
    "Logger",
    "LoggerConfig",
    "LoggerProvider",
    "LoggingHandler",
    "ReadWriteLogRecord",
    "ReadableLogRecord",
    "SynchronousMultiLogRecordProcessor",
]
