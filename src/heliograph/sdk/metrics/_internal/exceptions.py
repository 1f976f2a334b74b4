"""What metrics raise."""


class MetricsTimeoutError(Exception):
    """A collection did not end in the time it was given."""
