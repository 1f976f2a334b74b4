"""What carries the context from process to process.

`heliograph.sdk.propagators.w3c` (the default), `heliograph.sdk.propagators.b3`, and
`heliograph.sdk.propagators.environment` for child processes. ``OTEL_PROPAGATORS`` chooses:
`configure` makes it so.

Spec: Propagators API.
"""

from heliograph.sdk.propagators._configure import PropagatorError, configure, from_names

__all__ = ["PropagatorError", "configure", "from_names"]
