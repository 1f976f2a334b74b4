"""Components that block, each on a thread and an event loop of its own.

::

    main loop   ──consume──▶ OnThread ──▶ component ──▶ Home ──consume──▶ main loop
                             (its thread and loop)
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from heliograph.otlp import Batch
from heliograph.pipeline.component import Component, Consumer

T = TypeVar("T")


class Home:
    """The next consumer as a component on a thread sees it: called on the main loop."""

    def __init__(self, next: Consumer, main: asyncio.AbstractEventLoop) -> None:
        self._next = next
        self._main = main

    async def consume(self, batch: Batch) -> None:
        await _over(self._next.consume(batch), self._main)


class OnThread:
    """A component on a thread; to the rest of the graph it looks like any other.

    ``make`` builds it for the loop that it is given. The loop lives from ``start`` to ``stop``;
    another start builds another one.
    """

    def __init__(self, name: str, make: Callable[[asyncio.AbstractEventLoop], Component]) -> None:
        self._name = name
        self._make = make
        self._main = asyncio.get_running_loop()
        self._set_up()

    def _set_up(self) -> None:
        self._loop = asyncio.new_event_loop()
        try:
            self.component: Any = self._make(self._loop)
        except BaseException:
            self._loop.close()
            raise
        self.signals = self.component.signals
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    async def start(self) -> None:
        if self._loop.is_closed():
            self._set_up()
        self._thread.start()
        await _over(self.component.start(), self._loop)

    async def consume(self, batch: Batch) -> None:
        await _over(self.component.consume(batch), self._loop)

    async def stop(self) -> None:
        if self._loop.is_closed():
            return
        if not self._thread.is_alive():
            self._thread.start()
        try:
            await _over(self.component.stop(), self._loop)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
        await self._ended.wait()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
            with contextlib.suppress(RuntimeError):  # the main loop may have ended already
                self._main.call_soon_threadsafe(self._ended.set)


async def _over(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Run a coroutine on another loop; cancelling the wait cancels the work."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
