"""The component types of the Collector's core and contrib distributions; names only."""

from functools import cache
from importlib.resources import files

from heliograph.pipeline.component import Kind


@cache
def types(kind: Kind) -> frozenset[str]:
    """Return every type that a section of a Collector's configuration may name."""
    text = files(__package__).joinpath("collector_types.txt").read_text(encoding="utf-8")
    rows = (line.split(":") for line in text.splitlines() if line and not line.startswith("#"))
    return frozenset(name for section, names in rows if section == kind for name in names.split())
