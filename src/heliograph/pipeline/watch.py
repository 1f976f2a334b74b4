"""Who holds the event loop.

A timer on the loop stamps a clock; a thread looks at the stamp. When it is too old, the thread
reads the loop's stack and names the component whose code is running. Time in which a busy machine
gave the loop no processor does not count.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from heliograph.pipeline.sparingly import Sparingly
from heliograph.pipeline.telemetry import Telemetry

HELD = 0.1
"""Seconds a component may hold the loop unnamed."""

UNKNOWN = "unknown"
"""No component's own code was running; the machine may be too busy, or a module was imported."""

_TICK = HELD / 2
_IMPORT = "<frozen importlib._bootstrap>"


class LoopWatch:
    """Names components that hold the loop, in a WARN and in ``heliograph_loop_held``.

    Args:
        owner: the name of the component that a frame is a method of, if any.
    """

    def __init__(
        self, owner: Callable[[FrameType], str | None], telemetry: Telemetry, say: Sparingly
    ) -> None:
        self._owner = owner
        self._telemetry = telemetry
        self._say = say
        self._stamp = 0.0
        self._ended = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the running loop; called on it."""
        self._beat(asyncio.get_running_loop())
        self._thread = threading.Thread(
            target=self._look,
            args=(threading.get_ident(), Path(f"/proc/self/task/{threading.get_native_id()}")),
            name="heliograph-watch",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the timer; safe without start and twice."""
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stamp = time.monotonic()
        self._timer = loop.call_later(_TICK, self._beat, loop)

    def _look(self, loop_thread: int, task: Path) -> None:
        seen = named = 0.0
        queued = 0.0
        while not self._ended.wait(_TICK):
            stamp = self._stamp
            if stamp != seen:
                seen, queued = stamp, _queued(task)
                continue
            held = time.monotonic() - stamp - (_queued(task) - queued)
            if stamp == named or held < HELD + _TICK:
                continue
            named = stamp
            name = self._culprit(sys._current_frames().get(loop_thread))
            self._telemetry.counter("heliograph_loop_held", component=name).value += 1
            if name != UNKNOWN:
                self._say.warning(
                    ("held", name),
                    f"{name} holds the event loop for more than {HELD * 1000:.0f} ms; everything "
                    "else waits. A component that has to block says 'blocking = True'",
                )

    def _culprit(self, frame: FrameType | None) -> str:
        """Return the innermost component on the stack; an import, which happens once, is none's."""
        while frame is not None:
            if frame.f_code.co_filename == _IMPORT:
                return UNKNOWN
            name = self._owner(frame)
            if name is not None:
                return name
            frame = frame.f_back
        return UNKNOWN


def _queued(task: Path) -> float:
    """Return the seconds that a thread was ready and had no processor; 0 where unknown."""
    try:
        return int((task / "schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
