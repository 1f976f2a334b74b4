"""The vocabulary all else shares: Batch, Signal, Context, paths, edits."""

from heliograph._core import (
    Batch,
    Context,
    Convert,
    Copy,
    Delete,
    DeleteMatching,
    Edit,
    Edits,
    Extract,
    Hash,
    Set,
    Signal,
    regex_groups,
)
from heliograph.otlp.paths import attribute_path

__all__ = [
    "Batch",
    "Context",
    "Convert",
    "Copy",
    "Delete",
    "DeleteMatching",
    "Edit",
    "Edits",
    "Extract",
    "Hash",
    "Set",
    "Signal",
    "attribute_path",
    "regex_groups",
]
