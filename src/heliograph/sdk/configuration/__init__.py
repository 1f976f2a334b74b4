"""Providers, propagator and logging from the environment, or from a declarative file.

Spec: Configuration; Environment Variable Specification; Declarative Configuration.
"""

from heliograph.sdk.configuration._configured import ConfigurationError, Configured, Destination
from heliograph.sdk.configuration._environment import configure_from_environment


def configure_from_file(
    path: str, *, replaceable: bool = False, logging_handler: bool | None = None
) -> Configured:
    """Make the providers and the propagator that a declarative file says, and make them global.

    Args:
        path: of the file, YAML in the format 1.x of OpenTelemetry.
        replaceable: as for `configure_from_environment`.
        logging_handler: take what `logging` logs, where the file has a ``logger_provider``; not
            when False.

    Raises: ConfigurationError with everything that is wrong; OSError; ImportError without PyYAML.
    Spec: Declarative Configuration.
    """
    from heliograph.sdk.configuration import _file  # noqa: PLC0415 - it needs PyYAML

    return _file.configure_from_file(path, replaceable=replaceable, logging_handler=logging_handler)


__all__ = [
    "ConfigurationError",
    "Configured",
    "Destination",
    "configure_from_environment",
    "configure_from_file",
]
