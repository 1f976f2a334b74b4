"""Environment variables as a carrier, for child processes.

``propagate.inject(env, setter=EnvironmentSetter())`` before the child starts, and
``propagate.extract(os.environ, getter=EnvironmentGetter())`` in it.

Spec: Environment Variables as Context Propagation Carriers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping

from opentelemetry.propagators.textmap import Getter, Setter

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_OTHER = re.compile(r"[^A-Za-z0-9_]")


def variable(key: str) -> str:
    """Return the name of the variable for a header: upper case, other characters underscores."""
    name = _OTHER.sub("_", key).upper()
    return name if _NAME.fullmatch(name) else f"_{name}"


class EnvironmentGetter(Getter[Mapping[str, str]]):
    """Reads headers from variables."""

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        found = carrier.get(variable(key))
        return None if found is None else [found]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return [key for key in carrier if _NAME.fullmatch(key)]


class EnvironmentSetter(Setter[MutableMapping[str, str]]):
    """Writes headers as variables."""

    def set(self, carrier: MutableMapping[str, str], key: str, value: str) -> None:
        carrier[variable(key)] = value
