"""What the context says about instrumentation."""

from typing import Any

from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    attach,
    detach,
    get_current,
    set_value,
)
from opentelemetry.context.context import Context

_PLAIN = "suppress_instrumentation"


def suppressed(context: Context) -> bool:
    """Say whether nothing is to be recorded here."""
    return bool(context) and bool(context.get(_SUPPRESS_INSTRUMENTATION_KEY) or context.get(_PLAIN))


def http_suppressed(context: Context) -> bool:
    """Say whether no HTTP client is to be recorded here: a library above it has a span already."""
    return bool(context) and bool(
        context.get(_SUPPRESS_HTTP_INSTRUMENTATION_KEY)
        or context.get(_SUPPRESS_INSTRUMENTATION_KEY)
        or context.get(_PLAIN)
    )


class HttpSuppressed:
    """A context in which the HTTP clients below record nothing."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token: Any = attach(
            set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, get_current())
        )

    def __exit__(self, *_: object) -> None:
        detach(self._token)
