"""Where telemetry would go, by the variables that a program would have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.sdk import _variables as variables
from heliograph.sdk.configuration import _components as components
from heliograph.sdk.exporter.otlp._settings import grpc_settings, http_settings

GRPC = "grpc"


@dataclass(frozen=True)
class Target:
    """One exporter of one signal. ``native`` is what its client takes, for OTLP alone.

    ``protocol`` is ``grpc``, ``http/protobuf``, ``http/json`` or empty; ``problem`` says why there
    is no such exporter; ``headers`` are names, without values.
    """

    signal: str
    exporter: str
    protocol: str = ""
    where: str = ""
    headers: tuple[str, ...] = ()
    problem: str = ""
    native: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def secure(self) -> bool:
        return self.native.get("tls") is not None


def targets() -> list[Target]:
    """Return every exporter that the environment names, ``none`` included."""
    return [
        _target(signal, name)
        for signal in components.SIGNALS
        for name in variables.names(f"OTEL_{signal.upper()}_EXPORTER") or ["otlp"]
    ]


def _target(signal: str, name: str) -> Target:
    if name == "none":
        return Target(signal, name)
    try:
        components.exporter_class(signal, name)
    except components.UnknownComponent as error:
        return Target(signal, name, problem=str(error))
    form = components._SAME.get(name, name)
    form = components.PROTOCOLS[components.protocol(signal)] if form == "otlp" else form
    protocol = next((said for said, each in components.PROTOCOLS.items() if each == form), "")
    if not protocol:
        return Target(signal, name)
    if protocol == GRPC:
        settings = grpc_settings(signal)
    else:
        settings = http_settings(signal, json=protocol == "http/json")
    headers = tuple(pair[0] for pair in settings.native["headers"])
    return Target(signal, name, protocol, settings.where, headers, native=settings.native)
