"""How much a span keeps."""

from __future__ import annotations

from typing import ClassVar

from heliograph.sdk import _variables as variables
from heliograph.sdk import environment_variables as names

DEFAULT_COUNT = 128


class SpanLimits:
    """Limits of a span: counts, and the length of values (characters of text, bytes).

    A limit that is not given comes from its environment variable, then from the limit for all
    attributes, then it is 128; values have no limit of length. ``SpanLimits.UNSET`` is no limit.
    A variable that is no limit is one warning, and not used.
    A new attribute above the limit is discarded and counted, and so is the oldest event or link.

    Raises: ValueError for a negative limit.
    Spec: Common, Attribute Limits; Tracing SDK, Span Limits.
    """

    UNSET: ClassVar[int] = -1

    def __init__(
        self,
        max_attributes: int | None = None,
        max_events: int | None = None,
        max_links: int | None = None,
        max_span_attributes: int | None = None,
        max_event_attributes: int | None = None,
        max_link_attributes: int | None = None,
        max_attribute_length: int | None = None,
        max_span_attribute_length: int | None = None,
    ) -> None:
        read = self._from_env_if_absent
        self.max_events = read(max_events, names.OTEL_SPAN_EVENT_COUNT_LIMIT, DEFAULT_COUNT)
        self.max_links = read(max_links, names.OTEL_SPAN_LINK_COUNT_LIMIT, DEFAULT_COUNT)
        common = read(max_attributes, names.OTEL_ATTRIBUTE_COUNT_LIMIT)
        common = DEFAULT_COUNT if common is None else common
        self.max_attributes = common
        self.max_span_attributes = read(
            max_span_attributes, names.OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, common
        )
        self.max_event_attributes = read(
            max_event_attributes, names.OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT, common
        )
        self.max_link_attributes = read(
            max_link_attributes, names.OTEL_LINK_ATTRIBUTE_COUNT_LIMIT, common
        )
        self.max_attribute_length = read(
            max_attribute_length, names.OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT
        )
        self.max_span_attribute_length = read(
            max_span_attribute_length,
            names.OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT,
            self.max_attribute_length,
        )

    @classmethod
    def _from_env_if_absent(
        cls, value: int | None, env_var: str, default: int | None = None
    ) -> int | None:
        if value == cls.UNSET:
            return None
        if value is None:
            return variables.integer(env_var, default)
        if value < 0:
            raise ValueError(f"a limit is {value}, no non-negative integer ({env_var})")
        return value

    def native(self) -> list[int | None]:
        """Return what the core's tracer takes."""
        return [
            self.max_span_attributes,
            self.max_span_attribute_length,
            self.max_events,
            self.max_links,
            self.max_event_attributes,
            self.max_link_attributes,
            self.max_attribute_length,
        ]

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({said})"
