"""Processes that begin with a fork, and those that end without ``atexit``."""

from __future__ import annotations

import logging
import os
import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

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


def at_the_end(leave: Any, *, child: bool = False) -> None:
    """Call a bound method at the end of this process where ``atexit`` is not heeded: in a child of
    multiprocessing or billiard, in Celery's pool, and in some modes of uWSGI.

    Args:
        child: also in children of this process, as they begin by forgetting what they inherit.
    """
    for package in ("multiprocessing", "billiard"):
        process: Any = sys.modules.get(f"{package}.process")
        util: Any = sys.modules.get(f"{package}.util")
        if process is None or util is None:
            continue
        if process.current_process().name != "MainProcess":
            util.Finalize(None, leave, exitpriority=0)
        if child:
            util.register_after_fork(leave.__self__, partial(_inherited, util, leave.__name__))
    celery: Any = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(lambda **_: leave(), weak=False)
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is not None:
        uwsgi.atexit = partial(_one_after_the_other, getattr(uwsgi, "atexit", None), leave)


def _one_after_the_other(before: Any, leave: Any) -> None:
    if before is not None:
        before()
    leave()


def _inherited(util: Any, name: str, owner: Any) -> None:
    util.Finalize(None, getattr(owner, name), exitpriority=0)
