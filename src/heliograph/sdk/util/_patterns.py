"""Patterns, in which ``*`` stands for any characters and ``?`` for one; nothing else is special."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache


@lru_cache(512)
def _compiled(pattern: str) -> re.Pattern[str]:
    special = {"*": ".*", "?": "."}
    return re.compile("".join(special.get(one) or re.escape(one) for one in pattern), re.DOTALL)


def fits(text: str, pattern: str) -> bool:
    """Whether a pattern fits a whole text."""
    return _compiled(pattern).fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Whether a text fits more than itself."""
    return "*" in text or "?" in text


class Patterns:
    """Texts that some patterns fit, and others do not.

    Args:
        wanted: lists, of which each has a pattern that fits; without any all texts are wanted.
        unwanted: none of these fits.
    """

    def __init__(self, wanted: Iterable[Collection[str]], unwanted: Iterable[str]) -> None:
        self.wanted = tuple(tuple(patterns) for patterns in wanted)
        self.unwanted = tuple(unwanted)

    def __contains__(self, text: object) -> bool:
        if not isinstance(text, str):
            return False
        return all(_one_fits(text, patterns) for patterns in self.wanted) and not _one_fits(
            text, self.unwanted
        )


def _one_fits(text: str, patterns: Iterable[str]) -> bool:
    return any(fits(text, pattern) for pattern in patterns)
