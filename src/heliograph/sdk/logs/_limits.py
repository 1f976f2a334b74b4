"""How much a log record keeps."""

from __future__ import annotations

from heliograph.sdk import environment_variables as names
from heliograph.sdk.trace._limits import DEFAULT_COUNT, SpanLimits


class LogRecordLimits:
    """Limits of a log record: attributes, and the length of their values (characters, bytes).

    A limit that is not given comes from its environment variable, then from the limit for all
    attributes, then it is 128; values have no limit of length. ``LogRecordLimits.UNSET`` is no
    limit. A new attribute above the limit is discarded and counted. A variable that is no limit
    is one warning, and not used.

    Raises: ValueError for a negative limit.
    Spec: Common, Attribute Limits; Logs SDK, LogRecord Limits.
    """

    UNSET = SpanLimits.UNSET

    def __init__(
        self,
        max_attributes: int | None = None,
        max_attribute_length: int | None = None,
        max_log_record_attributes: int | None = None,
        max_log_record_attribute_length: int | None = None,
    ) -> None:
        read = SpanLimits._from_env_if_absent
        common = read(max_attributes, names.OTEL_ATTRIBUTE_COUNT_LIMIT)
        self.max_attributes = DEFAULT_COUNT if common is None else common
        self.max_attribute_length = read(
            max_attribute_length, names.OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT
        )
        self.max_log_record_attributes = read(
            max_log_record_attributes,
            names.OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT,
            self.max_attributes,
        )
        self.max_log_record_attribute_length = read(
            max_log_record_attribute_length,
            names.OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT,
            self.max_attribute_length,
        )

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({said})"
