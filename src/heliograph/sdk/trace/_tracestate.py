"""The ``ot`` member of a trace state: rejection thresholds and explicit randomness.

Spec: TraceState Handling; TraceState Probability Sampling.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass

from opentelemetry.trace import TraceState

KEY = "ot"
NEVER = 1 << 56
"""The threshold that no randomness reaches."""
_DIGITS = 14
_PRECISION = 4
_LONGEST = 256
_HEX = frozenset(string.hexdigits.lower())


def threshold_of(ratio: float) -> int:
    """Return the rejection threshold of a share from 0 to 1, from 0 to `NEVER`.

    It has as many digits as the specification recommends: four behind those that are f.
    """
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"the ratio is {ratio}, not from 0 to 1")
    exact = NEVER - round(ratio * NEVER)
    if exact in {0, NEVER}:
        return exact
    kept = min(_DIGITS, _PRECISION + -math.frexp(ratio)[1] // 4)
    unit = 1 << 4 * (_DIGITS - kept)
    return min((exact + unit // 2) // unit * unit, NEVER - 1)


def threshold_text(threshold: int) -> str:
    """Return a threshold below `NEVER` in the form of ``th``."""
    return f"{threshold:0{_DIGITS}x}".rstrip("0") or "0"


def randomness_of(trace_id: int) -> int:
    """Return the 56 bits of a trace id that are random."""
    return trace_id & (NEVER - 1)


@dataclass
class Sampling:
    """What the ``ot`` member says; None for what it does not say."""

    threshold: int | None = None
    randomness: int | None = None
    rest: tuple[str, ...] = ()

    @classmethod
    def read(cls, state: TraceState | None) -> Sampling:
        """Read a trace state; malformed fields say nothing."""
        text = state.get(KEY, "") if state else ""
        found = cls()
        if not text or len(text) > _LONGEST:
            return found
        rest = []
        for field in text.split(";"):
            name, _, value = field.partition(":")
            if name == "th":
                found.threshold = _number(value.ljust(_DIGITS, "0") if value else "")
            elif name == "rv":
                found.randomness = _number(value)
            else:
                rest.append(field)
        found.rest = tuple(rest)
        return found

    def write(self, state: TraceState | None) -> TraceState | None:
        """Return the trace state with this member, first; without it when it says nothing."""
        fields = []
        if self.threshold is not None:
            fields.append(f"th:{threshold_text(self.threshold)}")
        if self.randomness is not None:
            fields.append(f"rv:{self.randomness:0{_DIGITS}x}")
        for field in self.rest:
            if len(";".join([*fields, field])) <= _LONGEST:
                fields.append(field)
        if fields:
            member = ";".join(fields)
            return state.update(KEY, member) if state else TraceState([(KEY, member)])
        return state.delete(KEY) if state and KEY in state else state


def _number(digits: str) -> int | None:
    return int(digits, 16) if len(digits) == _DIGITS and _HEX.issuperset(digits) else None
