"""What differs between the systems that a collector runs on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_TAKEN = PermissionError if sys.platform == "win32" else BlockingIOError
NO_UNIX = "there are no Unix sockets on this system; use host:port"

LOOP: Callable[[], asyncio.AbstractEventLoop] | None = None
"""Makes the collector's loop; None: asyncio's own. The edges wake it through a socket that it waits
for, which the one that Windows has by default cannot."""
if sys.platform == "win32":
    LOOP = asyncio.SelectorEventLoop


def unix_socket(kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a new Unix socket. Raises: OSError where there are none."""
    if sys.platform == "win32":
        raise OSError(NO_UNIX)
    return socket.socket(socket.AF_UNIX, kind)


async def start_unix_server(
    connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    **options: Any,
) -> asyncio.Server:
    """Serve on a Unix socket, as asyncio's does. Raises: OSError where there are none."""
    if sys.platform == "win32":
        raise OSError(NO_UNIX)
    return await asyncio.start_unix_server(connected, **options)


def is_unix(opened: socket.socket) -> bool:
    """Tell whether a socket has a path instead of a host and a port."""
    return sys.platform != "win32" and opened.family == socket.AF_UNIX


def descriptor_of_directory(path: os.PathLike[str]) -> int:
    """Open a directory, to name what is in it by ``/proc/self/fd``. Raises: OSError."""
    if sys.platform == "win32":
        raise OSError(f"{path} has no descriptor on this system")
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def lock(descriptor: int) -> bool:
    """Lock a file until it is closed; return False when another process has it. Raises: OSError."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except _TAKEN:
        return False
    return True


def page_size() -> int:
    """Return the bytes of a page of memory, the unit of ``/proc/self/statm``."""
    if sys.platform == "win32":
        return 0
    return os.sysconf("SC_PAGE_SIZE")


def on_end(loop: asyncio.AbstractEventLoop, end: Callable[[str], None]) -> None:
    """Call ``end`` on the loop, with the signal's name, when this process is told to end."""
    if sys.platform == "win32":
        # Python calls the handler when the loop turns next; its watch sees to it that this is soon.
        for number in (signal.SIGINT, signal.SIGBREAK):
            signal.signal(
                number, lambda found, _: loop.call_soon_threadsafe(end, signal.Signals(found).name)
            )
    else:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end, number.name)


def on_hang_up(loop: asyncio.AbstractEventLoop, call: Callable[[str], object]) -> None:
    """Call it on the loop, with the signal's name, at SIGHUP, which Windows does not have."""
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGHUP, call, "SIGHUP")
