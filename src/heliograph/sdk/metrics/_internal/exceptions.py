"""What metrics raise.

Spec: Metrics SDK, MetricReader, Collect.
"""


class MetricsTimeoutError(Exception):
    """A collection did not end in the time it was given."""
