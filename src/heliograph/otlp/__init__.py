"""The vocabulary all else shares: Batch, Signal, Context, paths."""

from heliograph._core import Batch, Context, Signal

__all__ = ["Batch", "Context", "Signal"]
