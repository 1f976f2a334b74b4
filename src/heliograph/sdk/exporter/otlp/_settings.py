"""What an OTLP exporter is told: by arguments, by the variables of its signal, by those of all.

Spec: OTLP Exporter Configuration.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from heliograph.sdk.version import __version__

_log = logging.getLogger("heliograph.sdk.exporter")

TIMEOUT = 10.0
"""Seconds for one export, retries included."""

GRPC_REQUEST, HTTP_REQUEST = 4 << 20, 64 << 20
"""Bytes of a request, before compression: what servers take when they are not told otherwise."""

Headers = Mapping[str, str] | Sequence[tuple[str, str]] | str | None


@dataclass(frozen=True)
class Settings:
    """What the native client takes, and what the sender needs beside it."""

    native: dict[str, Any]
    timeout: float
    where: str
    """What messages call the other side."""


class Variables:
    """The variables of one signal: ``traces``, ``metrics`` or ``logs``."""

    def __init__(self, signal: str) -> None:
        self._signal = signal.upper()

    def own(self, option: str) -> str | None:
        """Return the signal's own variable; None when it is unset or empty."""
        return os.environ.get(f"OTEL_EXPORTER_OTLP_{self._signal}_{option}", "").strip() or None

    def get(self, option: str) -> str | None:
        """Return the signal's own variable, or that of all signals."""
        found = os.environ.get(f"OTEL_EXPORTER_OTLP_{option}", "").strip()
        return self.own(option) or found or None

    def insecure(self) -> str | None:
        """Return what is said about TLS, also by the names that are obsolete."""
        older = {"TRACES": "SPAN", "METRICS": "METRIC"}.get(self._signal)
        obsolete = older and os.environ.get(f"OTEL_EXPORTER_OTLP_{older}_INSECURE", "").strip()
        return self.own("INSECURE") or obsolete or self.get("INSECURE")


def grpc_settings(
    signal: str,
    *,
    endpoint: str | None = None,
    insecure: bool | None = None,
    headers: Headers = None,
    timeout: float | None = None,
    compression: Any = None,
    files: Mapping[str, str | None] | None = None,
) -> Settings:
    """Return what the gRPC client takes. Without a scheme or a word about it, TLS is spoken, except
    to a Unix socket."""
    variables = Variables(signal)
    endpoint = endpoint or variables.get("ENDPOINT") or "http://localhost:4317"
    scheme, separator, rest = endpoint.partition("://")
    if insecure is None and (said := variables.insecure()):
        insecure = said.lower() == "true"
    if separator and scheme in {"http", "https"}:
        secure = scheme == "https"
        # A path means nothing over gRPC.
        endpoint = rest.partition("/")[0]
    elif endpoint.startswith(("unix:", "unix-abstract:")):
        secure = insecure is False
    else:
        secure = not insecure
    native = _common(variables, headers, compression, secure=secure, files=files) | {
        "endpoint": endpoint,
        "authority": None,
        "balancer_name": "round_robin",
        "wait_for_ready": False,
        "keepalive": None,
        "look_up_interval": 30.0,
    }
    return Settings(native, _timeout(variables, timeout), endpoint)


def http_settings(
    signal: str,
    *,
    endpoint: str | None = None,
    headers: Headers = None,
    timeout: float | None = None,
    compression: Any = None,
    files: Mapping[str, str | None] | None = None,
    json: bool = False,
) -> Settings:
    """Return what the HTTP client takes. The endpoint of all signals gets the signal's path."""
    variables = Variables(signal)
    endpoint = endpoint or variables.own("ENDPOINT")
    if endpoint is None:
        base = variables.get("ENDPOINT") or "http://localhost:4318"
        endpoint = f"{base.rstrip('/')}/v1/{signal}"
    parts = urlsplit(endpoint)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    at = ("traces", "metrics", "logs", "profiles").index(signal)
    native = _common(
        variables, headers, compression, secure=parts.scheme == "https", files=files
    ) | {
        "urls": tuple(bare if index == at else None for index in range(4)),
        "json": json,
        "http2": True,
        "max_conns_per_host": None,
        "max_idle_conns_per_host": 8,
        "idle_conn_timeout": 90.0,
        "keep_alives": True,
        "ping": None,
    }
    return Settings(native, _timeout(variables, timeout), bare)


def _timeout(variables: Variables, given: float | None) -> float:
    if given is not None:
        return float(given)
    text = variables.get("TIMEOUT")
    try:
        return float(text) if text else TIMEOUT
    except ValueError:
        _log.error("OTEL_EXPORTER_OTLP_TIMEOUT is %r, no number; using %s s", text, TIMEOUT)
        return TIMEOUT


def _common(
    variables: Variables,
    headers: Headers,
    compression: Any,
    *,
    secure: bool,
    files: Mapping[str, str | None] | None,
) -> dict[str, Any]:
    pairs = read_headers(headers if headers else variables.get("HEADERS"))
    agent = dict(pairs).get("user-agent", f"heliograph-sdk-python/{__version__}")
    return {
        "tls": _tls(variables, files or {}) if secure else None,
        "compression": _coding(
            compression if compression is not None else variables.get("COMPRESSION")
        ),
        "level": None,
        "headers": [pair for pair in pairs if pair[0] != "user-agent"],
        "user_agent": agent,
        "proxy_url": None,
    }


def _tls(variables: Variables, files: Mapping[str, str | None]) -> dict[str, Any]:
    authorities = files.get("ca") or variables.get("CERTIFICATE")
    return {
        "ca_file": authorities,
        "ca_pem": None,
        "include_system_ca_certs_pool": authorities is None,
        "cert_file": files.get("cert") or variables.get("CLIENT_CERTIFICATE"),
        "cert_pem": None,
        "key_file": files.get("key") or variables.get("CLIENT_KEY"),
        "key_pem": None,
        "insecure_skip_verify": False,
        "server_name_override": None,
        "min_version": None,
        "max_version": None,
        "cipher_suites": [],
        "curve_preferences": [],
        "reload_interval": 0.0,
    }


def _coding(given: Any) -> str:
    """Return a coding's name, from a name or a member of somebody's enumeration."""
    value = getattr(given, "value", given)
    name = str(getattr(given, "name", value) if isinstance(value, int) else value or "none")
    name = name.strip().lower()
    return "" if name in {"none", "nocompression", "identity"} else name


def read_headers(given: Headers) -> list[tuple[str, str]]:
    """Return headers as pairs, names in lower case; text is ``name=value`` with commas between and
    values percent-encoded."""
    if not given:
        return []
    if isinstance(given, str):
        pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
        for name, equals, _ in pairs:
            if not equals:
                _log.warning("a header without '=' is left out: %r", name.strip())
        return [
            (unquote(name).strip().lower(), unquote(value).strip())
            for name, equals, value in pairs
            if equals
        ]
    items = given.items() if isinstance(given, Mapping) else given
    return [(str(name).lower(), str(value)) for name, value in items]
