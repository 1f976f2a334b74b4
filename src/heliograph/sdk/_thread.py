"""A thread of the SDK."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress


class Thread(threading.Thread):
    """A daemon, which may have begun before gevent replaced what threads are made of."""

    def __init__(self, run: Callable[[], None], name: str) -> None:
        super().__init__(target=run, name=name, daemon=True)

    def _delete(self) -> None:
        # gevent knows such a thread by another number; nothing but a traceback depends on it.
        with suppress(KeyError):
            super()._delete()  # type: ignore[misc] # not in the stubs
