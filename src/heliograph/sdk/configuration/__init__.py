"""Providers, propagator and logging from the environment, or from the file that it names.

Spec: Configuration; Environment Variable Specification.
"""

from heliograph.sdk.configuration._configured import Configured, Destination
from heliograph.sdk.configuration._environment import configure_from_environment

__all__ = ["Configured", "Destination", "configure_from_environment"]
