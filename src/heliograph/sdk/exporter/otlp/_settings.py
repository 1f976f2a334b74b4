"""What an OTLP exporter is told: by arguments, by the variables of its signal, by those of all.

Spec: OTLP Exporter Configuration.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from heliograph.sdk import _variables as variables
from heliograph.sdk.version import __version__

_log = logging.getLogger("heliograph.sdk.exporter")

TIMEOUT = 10.0
"""Seconds for one export, retries included."""

GRPC_REQUEST, HTTP_REQUEST = 4 << 20, 64 << 20
"""Bytes of a request, before compression: what servers take when they are not told otherwise."""

GRPC_CODINGS = ("none", "gzip", "zstd", "snappy")
HTTP_CODINGS = ("none", "gzip", "zstd", "deflate")

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

    def name(self, option: str) -> str:
        """Return the signal's own variable where it is set, else that of all signals."""
        own = f"OTEL_EXPORTER_OTLP_{self._signal}_{option}"
        return own if variables.text(own) else f"OTEL_EXPORTER_OTLP_{option}"

    def own(self, option: str) -> str | None:
        """Return the signal's own variable; None when it is unset or empty."""
        return variables.text(f"OTEL_EXPORTER_OTLP_{self._signal}_{option}") or None

    def get(self, option: str) -> str | None:
        """Return the signal's own variable, or that of all signals."""
        return variables.text(self.name(option)) or None

    def insecure(self) -> bool | None:
        """Return what is said about TLS, also by the names that are obsolete; None for nothing."""
        name = self.name("INSECURE")
        older = {"TRACES": "SPAN", "METRICS": "METRIC"}.get(self._signal)
        obsolete = f"OTEL_EXPORTER_OTLP_{older}_INSECURE"
        if older and not self.own("INSECURE") and variables.text(obsolete):
            name = obsolete
        return variables.flag(name) if variables.text(name) else None

    def coding(self, allowed: Sequence[str]) -> str:
        """Return the coding of requests, one of these."""
        return variables.choice(self.name("COMPRESSION"), allowed, "none")

    def timeout(self) -> float:
        """Return seconds. The variable is seconds, as in the official exporters; from 1000 on it is
        milliseconds, as in the specification. 0 is no limit."""
        name, found = self.name("TIMEOUT"), self.get("TIMEOUT")
        if found is None:
            return TIMEOUT
        try:
            value = float(found)
        except ValueError:
            value = -1.0
        if not 0 <= value <= variables.NO_LIMIT:
            variables.warn(name, found, "not a number of seconds from 0 on", f"{TIMEOUT:g}")
            return TIMEOUT
        if value == 0:
            return variables.NO_LIMIT / 1000
        return value / 1000 if value >= 1000 else value


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
    own = Variables(signal)
    endpoint = endpoint or own.get("ENDPOINT") or "http://localhost:4317"
    scheme, separator, rest = endpoint.partition("://")
    insecure = own.insecure() if insecure is None else insecure
    if separator and scheme in {"http", "https"}:
        secure = scheme == "https"
        # A path means nothing over gRPC.
        endpoint = rest.partition("/")[0]
    elif endpoint.startswith(("unix:", "unix-abstract:")):
        secure = insecure is False
    else:
        secure = not insecure
    coding = own.coding(GRPC_CODINGS) if compression is None else compression
    native = _common(own, headers, coding, secure=secure, files=files) | {
        "endpoint": endpoint,
        "authority": None,
        "balancer_name": "round_robin",
        "wait_for_ready": False,
        "keepalive": None,
        "look_up_interval": 30.0,
    }
    return Settings(native, own.timeout() if timeout is None else float(timeout), endpoint)


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
    own = Variables(signal)
    endpoint = endpoint or own.own("ENDPOINT")
    if endpoint is None:
        base = own.get("ENDPOINT") or "http://localhost:4318"
        endpoint = f"{base.rstrip('/')}/v1/{signal}"
    parts = urlsplit(endpoint)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    at = ("traces", "metrics", "logs", "profiles").index(signal)
    coding = own.coding(HTTP_CODINGS) if compression is None else compression
    native = _common(own, headers, coding, secure=parts.scheme == "https", files=files) | {
        "urls": tuple(bare if index == at else None for index in range(4)),
        "json": json,
        "http2": True,
        "max_conns_per_host": None,
        "max_idle_conns_per_host": 8,
        "idle_conn_timeout": 90.0,
        "keep_alives": True,
        "ping": None,
    }
    return Settings(native, own.timeout() if timeout is None else float(timeout), bare)


def _common(
    own: Variables,
    headers: Headers,
    coding: Any,
    *,
    secure: bool,
    files: Mapping[str, str | None] | None,
) -> dict[str, Any]:
    if headers:
        pairs = read_headers(headers)
    else:
        pairs = read_headers(own.get("HEADERS"), own.name("HEADERS"))
    agent = dict(pairs).get("user-agent", f"heliograph-sdk-python/{__version__}")
    return {
        "tls": _tls(own, files or {}) if secure else None,
        "compression": _coding(coding),
        "level": None,
        "headers": [pair for pair in pairs if pair[0] != "user-agent"],
        "user_agent": agent,
        "proxy_url": None,
    }


def _tls(own: Variables, files: Mapping[str, str | None]) -> dict[str, Any]:
    authorities = files.get("ca") or own.get("CERTIFICATE")
    return {
        "ca_file": authorities,
        "ca_pem": None,
        "include_system_ca_certs_pool": authorities is None,
        "cert_file": files.get("cert") or own.get("CLIENT_CERTIFICATE"),
        "cert_pem": None,
        "key_file": files.get("key") or own.get("CLIENT_KEY"),
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


def read_headers(given: Headers, source: str = "headers") -> list[tuple[str, str]]:
    """Return headers as pairs, names in lower case; text is ``name=value`` with commas between and
    values percent-encoded. What is wrong is said of ``source``, without values: they may be
    secrets."""
    if not given:
        return []
    if isinstance(given, str):
        pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
        wrong = [at for at, (_, equals, _) in enumerate(pairs, 1) if not equals]
        if wrong:
            _log.warning(
                "%s: entry %s has no '=' and is left out; write name=value,name=value",
                source,
                ", ".join(map(str, wrong)),
            )
        return [
            (unquote(name).strip().lower(), unquote(value).strip())
            for name, equals, value in pairs
            if equals
        ]
    items = given.items() if isinstance(given, Mapping) else given
    return [(str(name).lower(), str(value)) for name, value in items]
