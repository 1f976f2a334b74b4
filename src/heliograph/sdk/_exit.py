"""The end of a process: all that is held is exported together, within one bound, and one line says
what was lost.

A part is what holds something: a batch processor, or a reader that collects by itself. It has

- ``begin_leaving(within)``: export all that is held and then no more; does not wait, safe twice.
  Where no thread can do it any more it is done at once, in so many seconds;
- ``has_left(wait)``: whether that is done; waits so many seconds for it;
- ``progress()``: a number that changes when something was exported;
- ``abandon()``: wait for nothing any more;
- ``lost()``: what was not exported, such as "3 spans", or "";
- ``trouble()``: where it should have gone, and why it did not; "" when nobody knows.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from functools import partial
from typing import Any, ClassVar

from heliograph._core import fork_generation, prepare
from heliograph.sdk._thread import Thread

_log = logging.getLogger("heliograph.sdk")

VARIABLE = "HELIOGRAPH_EXIT_TIMEOUT"
"""Seconds without anything being exported after which an ending program waits no longer."""

PATIENCE = 2.0
"""What ``HELIOGRAPH_EXIT_TIMEOUT`` is when not set."""

MOST = 30.0
"""Seconds that an exit may take while something gets through."""

GLANCE = 0.05
"""Seconds between two looks at what is not done."""


class _State:
    living: ClassVar[weakref.WeakSet[Any]] = weakref.WeakSet()
    """Providers, in the order in which nobody may rely."""
    leaving: ClassVar[weakref.WeakSet[Any]] = weakref.WeakSet()
    """Those that are shut down when the program ends."""
    watched: ClassVar[set[str]] = set()
    is_registered = False
    uwsgi: Any = None
    main = threading.main_thread()
    """That of the process which imported this."""
    awaits = -1
    """The process in which a thread waits for the end of another, by its forks."""
    generation = 0
    """The process that ends, by its forks."""


def heed(provider: Any, *, shutdown_on_exit: bool) -> None:
    """Export what a provider holds when the process is told to end, or only ends.

    The provider has ``_parts()``, and ``_leave()`` that shuts it down when these have left.
    """
    prepare()
    _State.living.add(provider)
    if not shutdown_on_exit:
        return
    if not _State.is_registered:
        _State.is_registered = True
        atexit.register(leave)
    _State.leaving.add(provider)
    heed_other_ends()


def forget(provider: Any) -> None:
    """A provider was shut down."""
    _State.leaving.discard(provider)


def providers() -> list[Any]:
    """Return the providers of ours."""
    return list(_State.living)


def is_ending() -> bool:
    """Whether this process ends, and what is lost is said once."""
    return _State.generation == fork_generation()


def patience() -> float:
    """Return how many seconds without anything being exported an end is held up."""
    try:
        return max(0.0, float(os.environ.get(VARIABLE, "").strip() or PATIENCE))
    except ValueError:
        return PATIENCE


def heed_other_ends() -> None:
    """Leave also where a process ends without ``atexit``: children of multiprocessing and billiard,
    Celery's pool, some modes of uWSGI, and children of a fork in another thread than the main one.

    Called by whoever holds something, as a child forgets what it inherited of this.
    """
    for package in ("multiprocessing", "billiard"):
        process: Any = sys.modules.get(f"{package}.process")
        util: Any = sys.modules.get(f"{package}.util")
        if process is None or util is None:
            continue
        if process.current_process().name != "MainProcess":
            util.Finalize(None, leave, exitpriority=0)
        if package not in _State.watched:
            _State.watched.add(package)
            util.register_after_fork(_State, partial(_inherited, util))
    main = threading.main_thread()
    if main is not _State.main and _State.awaits != fork_generation():
        _State.awaits = fork_generation()
        if not isinstance(main, threading._DummyThread):
            Thread(_leave_after, "heliograph-exit", main).start()
    celery: Any = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(_pool_process_ends, weak=False)
    uwsgi: Any = sys.modules.get("uwsgi")
    before = getattr(uwsgi, "atexit", None)
    if uwsgi is not None and (before is None or before is not _State.uwsgi):
        uwsgi.atexit = _State.uwsgi = partial(_worker_ends, before)


def _leave_after(main: threading.Thread) -> None:
    """Leave when the thread that forked has returned, and those that it began, and end the process:
    nobody else does, as long as a thread of ours runs."""
    main.join()
    ours = threading.current_thread()
    while others := [one for one in threading.enumerate() if one is not ours and not one.daemon]:
        others[0].join()
    leave()
    os._exit(0)


def _inherited(util: Any, _state: object) -> None:
    util.Finalize(None, leave, exitpriority=0)


def _pool_process_ends(**_: Any) -> None:
    leave()


def _worker_ends(before: Any) -> None:
    if before is not None:
        before()
    leave()


def leave() -> None:
    """Export what is held as long as that makes progress, shut down, and say what was lost."""
    ending = list(_State.leaving)
    _State.leaving.clear()
    if not ending:
        return
    export_all(ending, patience(), MOST)
    for provider in ending:
        try:
            provider._leave()
        except Exception:
            _log.exception("a provider could not be shut down")


def export_all(ending: list[Any], still: float, most: float) -> None:
    """Export what these providers hold, for the last time, and say what was lost.

    Args:
        still: seconds without any progress after which the rest is given up.
        most: seconds after which it is in any case.
    """
    _State.generation = fork_generation()
    parts = [part for provider in ending for part in provider._parts()]
    began = time.monotonic()
    for part in parts:
        part.begin_leaving(still)
    quiet, before = began + still, 0
    while (left := [part for part in parts if not part.has_left(0)]) and time.monotonic() < min(
        began + most, quiet
    ):
        left[0].has_left(min(GLANCE, max(0.0, quiet - time.monotonic())))
        after = sum(part.progress() for part in parts)
        if after != before:
            before, quiet = after, time.monotonic() + still
    lost = [(text, part.trouble()) for part in parts if (text := part.lost())]
    for part in left:
        part.abandon()
    if lost:
        why = next((trouble for _, trouble in lost if trouble), "no answer")
        what = ", ".join(text for text, _ in lost)
        _log.error("%s could not be exported before the exit: %s", what, why)
