"""Exporters and the resource of a declarative file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from heliograph.sdk.configuration import _components as components
from heliograph.sdk.configuration._configured import Destination
from heliograph.sdk.configuration._environment import where
from heliograph.sdk.configuration._samplers import plugin
from heliograph.sdk.configuration._yaml import Item, Map
from heliograph.sdk.exporter.otlp._settings import GRPC_CODINGS, HTTP_CODINGS, read_headers
from heliograph.sdk.resources._detectors import read_pairs
from heliograph.sdk.util._patterns import Patterns

_log = logging.getLogger("heliograph.sdk.configuration")

Make = Callable[[], Any]

OWN = ["otlp_http", "otlp_grpc", "otlp_file/development", "console"]

_ENDPOINTS = {
    "otlp_proto_grpc": "http://localhost:4317",
    "otlp_proto_http": "http://localhost:4318/v1/{}",
    "otlp_json_http": "http://localhost:4318/v1/{}",
}

UNBOUNDED = 1 << 40
"""Bytes of a request that has no bound."""

ANSWER = 4 << 20
"""Bytes of an answer that are read."""

_TYPES: dict[str, type] = {"string": str, "bool": bool, "int": int, "double": float}


def exporter(
    item: Item | None,
    signal: str,
    destinations: list[Destination],
    more: Callable[[Map], dict[str, Any]] = lambda options: {},
) -> Make:
    """Return what makes an exporter, and notes where it goes."""
    found = None if item is None else item.map().one()
    if found is None:
        return lambda: None
    name, inner = found
    if name not in OWN:
        make = plugin(inner, f"opentelemetry_{signal}_exporter", name, OWN)
    else:
        options = inner.map()
        kind, given = _OPTIONS[name](options)
        given |= more(options)
        options.done()
        if kind.startswith("otlp_") and kind != "otlp_file":
            given["endpoint"] = given["endpoint"] or _ENDPOINTS[kind].format(signal)
        cls = components.exporter_class
        make = lambda: inner.made(lambda: cls(signal, kind)(**given))  # noqa: E731

    def made() -> Any:
        exporter = make()
        destinations.append(Destination(signal, name, where(exporter), True))
        return exporter

    return made


def _otlp(options: Map, codings: Sequence[str]) -> dict[str, Any]:
    listed = options.text("headers_list")
    if any("=" not in pair for pair in (listed or "").split(",") if pair.strip()):
        item = options.get("headers_list")
        if item is not None:
            item.problem("has an entry without '='", "write name=value,name=value")
    headers = dict(read_headers(listed)) if listed and "=" in listed else {}
    for item in options.elements("headers"):
        pair = item.map()
        name, value = pair.text("name", required=True), pair.text("value")
        pair.done()
        if name is not None and value is not None:
            headers[name.lower()] = value
    timeout = options.number("timeout")
    size = options.number("max_request_size")
    if (options.number("max_response_size", least=1) or ANSWER) != ANSWER:
        _log.warning("max_response_size is not used; %d bytes are read", ANSWER)
    given: dict[str, Any] = {
        "endpoint": options.text("endpoint"),
        "headers": headers or None,
        "compression": options.choice("compression", codings) or "none",
        "timeout": 10.0 if timeout is None else (timeout / 1000 or 1e9),
        "max_request_size": UNBOUNDED if size == 0 else size,
    }
    return given


def _tls(options: Map) -> dict[str, Any]:
    return {
        "certificate_file": options.text("ca_file"),
        "client_key_file": options.text("key_file"),
        "client_certificate_file": options.text("cert_file"),
    }


def _http(options: Map) -> tuple[str, dict[str, Any]]:
    given = _otlp(options, HTTP_CODINGS)
    if (tls := options.map("tls")) is not None:
        given |= _tls(tls)
        tls.done()
    encoding = options.choice("encoding", ["protobuf", "json"])
    return ("otlp_json_http" if encoding == "json" else "otlp_proto_http"), given


def _grpc(options: Map) -> tuple[str, dict[str, Any]]:
    given = _otlp(options, GRPC_CODINGS)
    if (tls := options.map("tls")) is not None:
        given |= _tls(tls) | {"insecure": tls.value("insecure", bool)}
        tls.done()
    return "otlp_proto_grpc", given


def _file(options: Map) -> tuple[str, dict[str, Any]]:
    item = options.get("output_stream")
    stream = "stdout" if item is None else item.plain() or "stdout"
    if stream == "stdout":
        return "otlp_file", {}
    if item is not None and not str(stream).startswith("file://"):
        item.problem(f"is {stream!r}", "write stdout or file:///path")
    return "otlp_file", {"path": str(stream).removeprefix("file://")}


_OPTIONS: dict[str, Callable[[Map], tuple[str, dict[str, Any]]]] = {
    "otlp_http": _http,
    "otlp_grpc": _grpc,
    "otlp_file/development": _file,
    "console": lambda options: ("console", {}),
}


def resource(options: Map | None) -> Make:
    """Return what makes the resource."""
    from heliograph.sdk.resources import Resource, _gather  # noqa: PLC0415 - as needed
    from heliograph.sdk.resources._resource import _DEFAULT  # noqa: PLC0415

    given: dict[str, Any] = {}
    url, makers = None, []
    keep: Callable[[str], bool] = lambda key: True  # noqa: E731
    if options is not None:
        given |= _listed(options)
        for item in options.elements("attributes"):
            given |= _attribute(item)
        url = options.text("schema_url")
        if (detection := options.map("detection/development")) is not None:
            keep = included(detection.map("attributes"))
            makers = [_detector(item) for item in detection.elements("detectors")]
            detection.done()
        options.done()

    def make() -> Any:
        detectors = [one for maker in makers for one in maker()]
        found = _gather.get_aggregated_resources(detectors, Resource.get_empty())
        kept = {key: value for key, value in found.attributes.items() if keep(key)}
        name = {"service.name": "unknown_service"}
        merged = {**name, **_DEFAULT.attributes, **kept, **given}
        return Resource(merged, url or found.schema_url)

    return make


def _listed(options: Map) -> dict[str, str]:
    text = options.text("attributes_list")
    try:
        return read_pairs(text or "")
    except ValueError as error:
        item = options.get("attributes_list")
        if item is not None:
            item.problem(f"is {text!r}, {error}", "write key=value,key=value, percent-encoded")
        return {}


def _attribute(item: Item) -> dict[str, Any]:
    pair = item.map()
    name = pair.text("name", required=True)
    value_item = pair.get("value", required=True)
    kinds = [*_TYPES, *(f"{kind}_array" for kind in _TYPES)]
    kind = pair.choice("type", kinds) or "string"
    pair.done()
    value = None if value_item is None else value_item.plain()
    if name is None or value is None or value_item is None:
        return {}
    cls = _TYPES[kind.removesuffix("_array")]
    values = value if kind.endswith("_array") and isinstance(value, list) else [value]
    if cls is float:
        values = [float(one) if type(one) is int else one for one in values]
    if any(type(one) is not cls for one in values):
        value_item.problem(f"is {value!r}, not {kind}", "change value or type")
        return {}
    return {name: values if kind.endswith("_array") else values[0]}


def included(options: Map | None) -> Callable[[str], bool]:
    """Return what tells whether patterns include a name and none excludes it."""
    if options is None:
        return lambda name: True
    wanted, unwanted = options.texts("included") or ["*"], options.texts("excluded")
    options.done()
    return Patterns([wanted], unwanted).__contains__


def _detector(item: Item) -> Callable[[], list[Any]]:
    from heliograph.sdk.resources import _gather  # noqa: PLC0415 - as needed

    found = item.map().one()
    if found is None:
        return list
    names = ["host", "os"] if found[0] == "host" else [found[0]]
    try:
        made = [_gather.detector(name) for name in names]
    except LookupError as error:
        found[1].problem(str(error))
        return list
    return lambda: made
