"""A measurement that was kept.

Spec: Metrics Data Model, Exemplars.
"""

from dataclasses import dataclass

from opentelemetry.util.types import Attributes


@dataclass(frozen=True)
class Exemplar:
    """A measurement that was kept, with the span it was made in.

    ``filtered_attributes`` are those that the point does not have; ``time_unix_nano`` is in
    nanoseconds since the epoch.
    """

    filtered_attributes: Attributes
    value: int | float
    time_unix_nano: int
    span_id: int | None = None
    trace_id: int | None = None
