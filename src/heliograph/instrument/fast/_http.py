"""What HTTP servers and clients have in common.

Spec: semantic conventions, HTTP (stable).
"""

import os
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

KNOWN = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Bounds of the durations, in seconds."""

SCHEMA = "https://opentelemetry.io/schemas/1.36.0"

_SECRET_PARAMETERS = re.compile(
    r"(?<=[?&])(AWSAccessKeyId|Signature|sig|X-Goog-Signature|X-Amz-Signature|X-Amz-Credential"
    r"|X-Amz-Security-Token)=[^&#]*"
)
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def known_methods() -> frozenset[str]:
    """Return the methods that are named, ``OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`` or all."""
    listed = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "")
    return frozenset(filter(None, map(str.strip, listed.split(",")))) or KNOWN


def url_filter(library: str, given: str | None) -> Callable[[str], object] | None:
    """Return what says of a URL whether it is excluded, or None where all are recorded.

    Args:
        library: the name in ``OTEL_PYTHON_*_EXCLUDED_URLS``; ``OTEL_PYTHON_EXCLUDED_URLS`` holds
            where that is not set.
        given: regular expressions with commas between them, instead of the variable.
    """
    if given is None:
        given = os.environ.get(f"OTEL_PYTHON_{library}_EXCLUDED_URLS")
    if given is None:
        given = os.environ.get("OTEL_PYTHON_EXCLUDED_URLS", "")
    patterns = [pattern.strip() for pattern in given.split(",") if pattern.strip()]
    return re.compile("|".join(patterns)).search if patterns else None


class Headers:
    """Which headers become attributes.

    Args:
        variable: end of ``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*``: regular expressions of
            names, with commas between them.
        prefix: of the attributes, ``http.request.header`` or ``http.response.header``.
    """

    _ROOT = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"

    def __init__(self, variable: str, prefix: str) -> None:
        self._wanted = _names(os.environ.get(self._ROOT + variable, ""))
        self._secret = _names(os.environ.get(self._ROOT + "SANITIZE_FIELDS", ""))
        self._prefix = prefix

    def __bool__(self) -> bool:
        return self._wanted is not None

    def attributes(self, headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
        """Return the attributes of these headers; secret ones say ``[REDACTED]``."""
        assert self._wanted is not None
        found: dict[str, list[str]] = {}
        for name, value in headers:
            if self._wanted.fullmatch(name):
                key = f"{self._prefix}.{name.lower().replace('-', '_')}"
                hidden = self._secret is not None and self._secret.search(name)
                found.setdefault(key, []).append("[REDACTED]" if hidden else value)
        return found


def _names(listed: str) -> re.Pattern[str] | None:
    names = [name.strip() for name in listed.split(",") if name.strip()]
    return re.compile("|".join(names), re.IGNORECASE) if names else None


def public_query(query: str) -> str:
    """Return a query string without the values of signatures."""
    return _SECRET_PARAMETERS.sub(r"\1=REDACTED", "?" + query)[1:] if "=" in query else query


@lru_cache(maxsize=512)
def public_url(url: str) -> str:
    """Return a URL without credentials and signatures."""
    if "@" in url:
        try:
            parts = urlsplit(url)
        except ValueError:
            return url
        if "@" in parts.netloc:
            place = "REDACTED:REDACTED@" + parts.netloc.rpartition("@")[2]
            url = urlunsplit(parts._replace(netloc=place))
    return _SECRET_PARAMETERS.sub(r"\1=REDACTED", url) if "?" in url else url


@lru_cache(maxsize=512)
def place(authority: str, scheme: str) -> tuple[str, int | None]:
    """Return address and port of ``host[:port]``; the scheme's port where it names none."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        return authority.strip("[]"), _PORTS.get(scheme)
    return host.strip("[]"), int(port) if port.isdigit() else None


def error_name(error: BaseException) -> str:
    """Return the value of ``error.type``: the class, with its module where it has one."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
