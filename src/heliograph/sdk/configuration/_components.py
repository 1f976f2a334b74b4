"""Finding components by the names that variables and files give them: ours, then installed ones.

Official names stand for our classes; everything else is looked up among the entry points that
packages for the official SDK register.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

from heliograph.sdk import _variables as variables

_log = logging.getLogger("heliograph.sdk.configuration")

SIGNALS = ("traces", "metrics", "logs")

PROTOCOLS = {
    "grpc": "otlp_proto_grpc",
    "http/protobuf": "otlp_proto_http",
    "http/json": "otlp_json_http",
}

_OTLP = "heliograph.sdk.exporter.otlp"
_MODULES = {"traces": "trace_exporter", "metrics": "metric_exporter", "logs": "_log_exporter"}
_CLASSES = {"traces": "SpanExporter", "metrics": "MetricExporter", "logs": "LogExporter"}
_CONSOLE = {
    "traces": "heliograph.sdk.trace.export:ConsoleSpanExporter",
    "metrics": "heliograph.sdk.metrics.export:ConsoleMetricExporter",
    "logs": "heliograph.sdk.logs.export:ConsoleLogRecordExporter",
}
_FORMS = {
    "otlp_proto_grpc": "proto.grpc",
    "otlp_proto_http": "proto.http",
    "otlp_json_http": "json.http",
    "otlp_file": "json.file",
}
_SAME = {
    "logging": "console",
    "otlp/stdout": "otlp_file",
    "otlp_http": "otlp_proto_http",
    # The names by which the official SDK finds ours.
    "heliograph_otlp_grpc": "otlp_proto_grpc",
    "heliograph_otlp_http": "otlp_proto_http",
    "heliograph_otlp_json_http": "otlp_json_http",
    "heliograph_otlp_file": "otlp_file",
}


class UnknownComponent(LookupError):
    """Nothing has this name; the message says which names there are."""


def exporter_class(signal: str, name: str) -> Any:
    """Return the class of an exporter, or of a reader of metrics, by its name.

    Raises: UnknownComponent.
    """
    name = _SAME.get(name, name)
    if name == "otlp":
        name = PROTOCOLS[protocol(signal)]
    if name in _FORMS:
        cls = _CLASSES[signal]
        prefix = "File" if name == "otlp_file" else "OTLP"
        return _load(f"{_OTLP}.{_FORMS[name]}.{_MODULES[signal]}:{prefix}{cls}")
    if name == "console":
        return _load(_CONSOLE[signal])
    if name == "prometheus" and signal == "metrics":
        return _load("heliograph.sdk.exporter.prometheus:_AutoPrometheusMetricReader")
    return installed(f"opentelemetry_{signal}_exporter", name, exporter_names(signal))


def exporter_names(signal: str) -> list[str]:
    """Return the names of our exporters of a signal."""
    pull = ["prometheus"] if signal == "metrics" else []
    return ["otlp", *_FORMS, "console", *pull, "none"]


def protocol(signal: str) -> str:
    """Return how a signal's OTLP exporter speaks: ``grpc`` unless a variable says otherwise."""
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL"
    name = own if variables.text(own) else "OTEL_EXPORTER_OTLP_PROTOCOL"
    return variables.choice(name, PROTOCOLS, "grpc")


def id_generator(name: str) -> Any:
    """Return an id generator by its name. Raises: UnknownComponent."""
    if name in {"", "random"}:
        from heliograph.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415 - as needed

        return RandomIdGenerator()
    return installed("opentelemetry_id_generator", name, ["random"])()


def installed(group: str, name: str, own: list[str]) -> Any:
    """Return what an entry point of installed packages stands for.

    Raises: UnknownComponent when there is none, or it cannot be loaded.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    for point in entry_points(group=group, name=name):
        try:
            return point.load()
        except Exception as error:
            raise UnknownComponent(f"{name} of {group} cannot be loaded: {error}") from error
    others = sorted({point.name for point in entry_points(group=group)} - set(own))
    raise UnknownComponent(f"there is no {name!r}; there are {', '.join([*own, *others])}")


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
