"""``OTEL_PROPAGATORS``.

Spec: Environment Variables, OTEL_PROPAGATORS.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from typing import Any

from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator

from heliograph.sdk.propagators.b3 import B3MultiFormat, B3SingleFormat
from heliograph.sdk.propagators.w3c import W3CPropagator

VARIABLE = "OTEL_PROPAGATORS"
DEFAULT = "tracecontext,baggage"
W3C = ("tracecontext", "baggage")
B3 = {"b3": B3SingleFormat, "b3multi": B3MultiFormat}
PACKAGES = {
    "jaeger": "opentelemetry-propagator-jaeger",
    "xray": "opentelemetry-propagator-aws-xray",
    "xray-lambda": "opentelemetry-propagator-aws-xray",
    "ottrace": "opentelemetry-propagator-ot-trace",
}


class PropagatorError(ValueError):
    """A name that stands for no propagator here; the message says what to do."""


def from_names(names: Iterable[str]) -> TextMapPropagator:
    """Return what propagates in all of these formats, in this order.

    ``none`` is no propagation. Names that are not ours are looked up among the entry points of
    group ``opentelemetry_propagator``. Raises: PropagatorError.
    """
    wanted = list(dict.fromkeys(filter(None, (name.strip().lower() for name in names))))
    if "none" in wanted:
        return CompositePropagator([])
    w3c = W3CPropagator(trace="tracecontext" in wanted, baggage="baggage" in wanted)
    made: list[TextMapPropagator] = []
    for name in wanted:
        if name not in W3C:
            made.append(B3[name]() if name in B3 else _installed(name))
        elif w3c not in made:
            made.append(w3c)
    return made[0] if len(made) == 1 else CompositePropagator(made)


def _installed(name: str) -> TextMapPropagator:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    points = list(entry_points(group="opentelemetry_propagator", name=name))
    if not points and name in PACKAGES:
        raise PropagatorError(f"{VARIABLE}: {name} needs a package: pip install {PACKAGES[name]}")
    if not points:
        known = ", ".join([*W3C, *B3, *PACKAGES, "none"])
        raise PropagatorError(f"{VARIABLE}: there is no propagator {name!r}; known are {known}")
    try:
        made: Any = points[0].load()()
    except Exception as error:
        raise PropagatorError(f"{VARIABLE}: {name} cannot be loaded: {error}") from error
    if not isinstance(made, TextMapPropagator):
        raise PropagatorError(f"{VARIABLE}: {name} is {type(made).__name__}, no propagator")
    return made


def configure() -> TextMapPropagator:
    """Let `opentelemetry.propagate` use what ``OTEL_PROPAGATORS`` names, and return it.

    Without the variable, W3C Trace Context and Baggage. Raises: PropagatorError.
    """
    made = from_names((os.environ.get(VARIABLE, "").strip() or DEFAULT).split(","))
    _propagate().set_global_textmap(made)
    return made


def _propagate() -> Any:
    """Import `opentelemetry.propagate`, which reads the variable and fails at unknown names."""
    name = "opentelemetry.propagate"
    given = os.environ.get(VARIABLE)
    if given is None or name in sys.modules:
        return importlib.import_module(name)
    os.environ[VARIABLE] = "none"
    try:
        return importlib.import_module(name)
    finally:
        os.environ[VARIABLE] = given
