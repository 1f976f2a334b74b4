"""The version of this package, where the official SDK keeps its own."""

from heliograph._core import VERSION as __version__

__all__ = ["__version__"]
