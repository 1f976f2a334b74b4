"""aiosqlite: the statements that it runs in a thread of its own belong to whoever awaits them.

It makes no spans; `heliograph.instrument.fast.sqlite3` does, beneath it.
"""

from contextvars import copy_context
from functools import partial
from typing import Any

from heliograph.instrument.fast._patch import Patches, Settings


def instrument(aiosqlite: Any, settings: Settings) -> Patches:
    """Carry the caller's context into the thread of a connection."""
    patches = Patches()

    def execute(original: Any) -> Any:
        async def call(self: Any, function: Any, *arguments: Any, **options: Any) -> Any:
            carried = partial(copy_context().run, function)
            return await original(self, carried, *arguments, **options)

        return call

    patches.replace(aiosqlite.Connection, "_execute", execute)
    return patches
