"""Who the program says it is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from importlib.metadata import version

SCOPE = "heliograph.collector"


def resource(written: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of the program's own telemetry; an empty one takes a default away."""
    found = {
        "service.name": "heliograph",
        "service.version": version("heliograph"),
        "service.instance.id": str(uuid.uuid4()),
        **written,
    }
    return {name: value for name, value in found.items() if value}
