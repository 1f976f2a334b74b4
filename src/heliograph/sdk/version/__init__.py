"""The version of this package, where the official SDK keeps its own."""

from importlib.metadata import version

__version__ = version("heliograph")
