"""W3C Trace Context and Baggage, read and written natively.

Spec: W3C Trace Context Level 2, W3C Baggage.
"""

from __future__ import annotations

from opentelemetry.propagators.textmap import TextMapPropagator

import heliograph.sdk.trace  # noqa: F401 - registers the span that is extracted
from heliograph._core import W3CPropagator as NativePropagator


class W3CPropagator(NativePropagator, TextMapPropagator):
    """Both formats in one.

    What is extracted is what the propagators of opentelemetry-api extract, but malformed headers
    are not logged. In what is injected, a space in baggage is ``%20`` instead of a plus sign, and
    lone surrogates are question marks.

    Args:
        trace: ``traceparent`` and ``tracestate``.
        baggage: ``baggage``.
    """
