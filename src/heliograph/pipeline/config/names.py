"""The valid name that a wrong one was probably meant to be."""

import difflib
from collections.abc import Iterable


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that is most like ``name``, None when none is like it."""
    folded = {option.lower().replace("-", "_"): option for option in valid}
    wanted = name[:100].lower().replace("-", "_")
    close = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def suggestion(name: str, valid: Iterable[str]) -> str:
    """Return the fix: the nearest name, or all of them."""
    options = list(valid)
    found = nearest(name, options)
    if found:
        return f"did you mean '{found}'?"
    if not options:
        return "remove it"
    return f"use one of {', '.join(options)}" if len(options) > 1 else f"use {options[0]}"
