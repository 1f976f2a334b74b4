"""Environment markers of requirements, such as ``python_version < "3.12" and extra == "redis"``.

Spec: Dependency specifiers, environment markers (PyPA).
"""

import re
from collections.abc import Mapping

from heliograph.instrument._versions import fits

_TOKEN = re.compile(
    r"""\s*(?: (?P<text>'[^']*'|"[^"]*") | (?P<sign>~=|===|==|!=|<=|>=|<|>) | (?P<bracket>[()])
    | (?P<word>[A-Za-z_.]+) )""",
    re.VERBOSE,
)
_VERSIONS = {"python_version", "python_full_version", "implementation_version"}


class MarkerError(ValueError):
    """A marker that cannot be read."""


def applies(requirement: str, variables: Mapping[str, str], extra: str = "") -> bool:
    """Return whether a requirement's marker holds, or it has none. Raises: MarkerError."""
    marker = requirement.partition(";")[2].strip()
    if not marker:
        return True
    reader = _Reader(marker, {**variables, "extra": extra})
    held = reader.any_of()
    if reader.peek() is not None:
        raise MarkerError(f"{marker!r} goes on with {reader.peek()!r}")
    return held


class _Reader:
    """Reads a marker from left to right: ``or`` binds less than ``and``."""

    def __init__(self, marker: str, variables: Mapping[str, str]) -> None:
        self._marker = marker
        self._variables = variables
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(marker):
            found = _TOKEN.match(marker, at)
            if found is None or found.lastgroup is None:
                raise MarkerError(f"{marker!r} cannot be read from {marker[at:]!r} on")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self._at = 0

    def peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise MarkerError(f"{self._marker!r} is not complete")
        self._at += 1
        return self._tokens[self._at - 1]

    def any_of(self) -> bool:
        held = self._all_of()
        while self.peek() == "or":
            self._next()
            held = self._all_of() or held
        return held

    def _all_of(self) -> bool:
        held = self._one()
        while self.peek() == "and":
            self._next()
            held = self._one() and held
        return held

    def _one(self) -> bool:
        if self.peek() == "(":
            self._next()
            held = self.any_of()
            if self._next()[1] != ")":
                raise MarkerError(f"{self._marker!r} lacks a bracket")
            return held
        left, sign, right = self._next(), self._next()[1], self._next()
        if sign == "not":
            if right[1] != "in":
                raise MarkerError(f"{self._marker!r} has not without in")
            sign, right = "not in", self._next()
        is_version = bool({left[1], right[1]} & _VERSIONS)
        return self._holds(self._value(left), sign, self._value(right), is_version)

    def _value(self, token: tuple[str, str]) -> str:
        kind, text = token
        if kind == "text":
            return text[1:-1]
        if kind != "word" or text not in self._variables:
            raise MarkerError(f"{self._marker!r} has {text!r}, which is no variable")
        return self._variables[text]

    def _holds(self, left: str, sign: str, right: str, is_version: bool) -> bool:
        if sign in {"in", "not in"}:
            return (left in right) == (sign == "in")
        if is_version and sign != "===" and left[:1].isdigit() and right[:1].isdigit():
            return fits(f"{sign}{right}", left)
        compared = {
            "==": left == right, "===": left == right, "!=": left != right, "<": left < right,
            "<=": left <= right, ">": left > right, ">=": left >= right,
        }  # fmt: skip
        if sign not in compared:
            raise MarkerError(f"{self._marker!r} compares with {sign!r}")
        return compared[sign]
