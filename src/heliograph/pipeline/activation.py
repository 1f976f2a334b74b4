"""The protocol between systemd and the services it starts: sockets in, news out.

Sockets: sd_listen_fds(3). News: sd_notify(3). Any supervisor can speak it.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator, MutableMapping

from heliograph.pipeline.listeners import Inherited
from heliograph.pipeline.system import unix_socket

FIRST = 3
"""Number of the first descriptor that is handed in."""
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def inherited(
    environment: MutableMapping[str, str], log: logging.Logger, first: int = FIRST
) -> list[Inherited]:
    """Take the listening sockets that this process was started with, once.

    What says so is removed from the environment, and the descriptors are closed in programs that
    this one starts.
    """
    said = {name: environment.pop(name, "") for name in _VARIABLES}
    if said["LISTEN_PID"] != str(os.getpid()) or not said["LISTEN_FDS"].isdecimal():
        return []
    count = int(said["LISTEN_FDS"])
    names = said["LISTEN_FDNAMES"].split(":")
    names += [""] * (count - len(names))
    return list(_sockets(range(first, first + count), names, log))


def _sockets(fds: range, names: list[str], log: logging.Logger) -> Iterator[Inherited]:
    for fd, name in zip(fds, names, strict=False):
        try:
            os.set_inheritable(fd, False)
            given = socket.socket(fileno=fd)
        except OSError as error:
            log.warning("descriptor %d, handed in as '%s', is no socket: %s", fd, name, error)
            continue
        stream = given.type == socket.SOCK_STREAM
        if not stream or not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            what = "does not listen; use Accept=no" if stream else "is no stream socket"
            log.warning("descriptor %d, handed in as '%s', %s", fd, name, what)
            given.detach()
            continue
        yield Inherited(given, "" if name == "unknown" else name)


def notify(state: str) -> None:
    """Tell the supervisor, if it asked for it in ``NOTIFY_SOCKET``, what this process is up to."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with unix_socket(socket.SOCK_DGRAM) as to:
            to.sendto(state.encode(), address)
    except OSError as error:
        logging.getLogger("heliograph").debug("the supervisor cannot be told: %s", error)


def reloading() -> str:
    """Return the news that a reload begins now."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
