"""Calls several processors at a time."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any

from heliograph._core import fork_generation
from heliograph.sdk._fence import fenced

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Concurrent:
    """What calls processors on ``num_threads`` threads, each in the caller's context."""

    def __init__(self, num_threads: int = 2) -> None:
        self._processors: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self._threads = num_threads
        self._executor: ThreadPoolExecutor | None = None
        self._generation = 0

    def _add(self, processor: Any) -> None:
        with self._lock:
            self._processors += (processor,)

    def _all(self, calls: list[Any], timeout: float | None = None) -> list[Any]:
        """Run the calls; return what those gave that were done in time."""
        try:
            from concurrent.futures import ThreadPoolExecutor, wait  # noqa: PLC0415

            if self._executor is None or self._generation != fork_generation():
                self._generation = fork_generation()
                self._executor = ThreadPoolExecutor(self._threads, "heliograph-processors")
            futures = [
                self._executor.submit(contextvars.copy_context().run, fenced, *call)
                for call in calls
            ]
        except RuntimeError:
            # The interpreter is shutting down: neither threads nor their module begin any more.
            return [fenced(*call) for call in calls]
        done = wait(futures, timeout).done
        return [future.result() for future in futures if future in done]

    def shutdown(self) -> None:
        """Shut all of them down."""
        self._all([(one.shutdown,) for one in self._processors])

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush all of them; return whether that was done within the time."""
        calls = [(one.force_flush, timeout_millis) for one in self._processors]
        found = self._all(calls, timeout_millis / 1000)
        return len(found) == len(calls) and not any(one is False for one in found)
