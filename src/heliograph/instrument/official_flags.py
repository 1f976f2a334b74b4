"""The variables that `opentelemetry-instrument` makes flags of, but for those others give it.

The launcher reads ``dir()`` of this module, and ends when two modules give it the same flag.
"""

import re
from importlib.metadata import entry_points

from heliograph.instrument._variables import flags

GROUP = "opentelemetry_environment_variables"


def __dir__() -> list[str]:
    taken: set[str] = set()
    for point in entry_points(group=GROUP):
        if point.value != __name__:
            taken |= {_flag(name) for name in dir(point.load()) if name.startswith("OTEL_")}
    found = {_flag(name): name for name in sorted(set(flags().values()))}
    return sorted(name for flag, name in found.items() if flag not in taken)


def _flag(name: str) -> str:
    return re.sub("OTEL_(PYTHON_)?", "", name).lower()
