"""What a declarative file says to instrumentations, as the variables that they read."""

from __future__ import annotations

from typing import Any

from heliograph.sdk.configuration._yaml import Item

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"

_HTTP = "OTEL_INSTRUMENTATION_HTTP_"
_AREAS = {"http": "http", "db": "database"}


def variables_of(item: Item | None) -> dict[str, str]:
    """Return variables for ``instrumentation/development``; what nobody here reads is left alone.

    ``general.stability_opt_in_list``, or ``semconv`` of ``http`` and ``db``; captured headers and
    known methods of ``http.client`` and ``http.server``.
    """
    plain = None if item is None else item.plain()
    general = _map(_map(plain).get("general"))
    http = _map(general.get("http"))
    found = {OPT_IN: str(general.get("stability_opt_in_list") or _stable(general))}
    methods: list[str] = []
    for side in ("client", "server"):
        settings = _map(http.get(side))
        for kind in ("request", "response"):
            name = f"{_HTTP}CAPTURE_HEADERS_{side.upper()}_{kind.upper()}"
            found[name] = ",".join(_texts(settings.get(f"{kind}_captured_headers")))
        methods += _texts(settings.get("known_methods"))
    found[f"{_HTTP}KNOWN_METHODS"] = ",".join(dict.fromkeys(methods))
    return {name: value for name, value in found.items() if value}


def _stable(general: dict[str, Any]) -> str:
    wanted = []
    for area, name in _AREAS.items():
        semconv = _map(_map(general.get(area)).get("semconv"))
        if semconv.get("version") == 1:
            wanted.append(f"{name}/dup" if semconv.get("dual_emit") is True else name)
    return ",".join(wanted)


def _map(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _texts(found: Any) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
