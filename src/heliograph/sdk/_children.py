"""Processes that begin with a fork."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from typing import ClassVar

from heliograph._core import call_in_children, fork_generation

_log = logging.getLogger("heliograph.sdk")

_Methods = list[weakref.WeakMethod[Callable[[], None]]]


class _State:
    forked: ClassVar[_Methods] = []
    begins: ClassVar[_Methods] = []
    is_registered = False
    generation = fork_generation()


def in_children(forked: Callable[[], None], begins: Callable[[], None] | None = None) -> None:
    """Call bound methods once in each forked child, as long as their object lives.

    Args:
        forked: after a fork from Python at once; after one from C, as uWSGI's, with ``begins``.
        begins: before the child records something.
    """
    if not _State.is_registered:
        _State.is_registered = True
        call_in_children(_begin)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forked)
    _State.forked = _added(_State.forked, forked)
    if begins is not None:
        _State.begins = _added(_State.begins, begins)


def _added(methods: _Methods, method: Callable[[], None]) -> _Methods:
    return [*(one for one in methods if one() is not None), weakref.WeakMethod(method)]


def _forked() -> None:
    if _State.generation != fork_generation():
        _State.generation = fork_generation()
        _call(_State.forked)


def _begin() -> None:
    _forked()
    _call(_State.begins)


def _call(methods: _Methods) -> None:
    for one in methods:
        method = one()
        try:
            if method is not None:
                method()
        except Exception:
            _log.exception("what a forked child begins with went wrong")
