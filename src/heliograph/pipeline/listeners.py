"""The listening sockets of this process, which outlive the component that uses them.

Before a component binds, it asks here whether a socket listens there already: one that was handed
in from outside (socket activation), or one of a component that leaves on a reload. Then it listens
on a copy of that socket, and whoever connects meanwhile waits instead of being refused.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.errors import ConfigError, Problem
from heliograph.pipeline.system import is_unix


class InTheWay(ConfigError):
    """A component that leaves still listens on the same port of another address."""

    def __init__(self, owner: str, endpoint: str) -> None:
        self.owner = owner
        super().__init__([Problem("endpoint", f"{owner} still listens on {endpoint}")])


@dataclass(eq=False)
class Inherited:
    """A socket that was handed in, under the name that its giver chose."""

    socket: socket.socket
    name: str = ""

    def __str__(self) -> str:
        address = shown(self.socket.getsockname())
        return f"{address} ({self.name})" if self.name else address


@dataclass(eq=False)
class Listening:
    """One endpoint that a component wants to listen on, or does."""

    owner: str
    """Path of the component, such as ``receivers.otlp``."""
    name: str
    """What a socket for it is called: the component's id, with the protocol if it has several."""
    endpoint: str
    """As configured."""
    transport: str = "tcp"
    share: Callable[[], Sequence[socket.socket]] = tuple
    """Copies the sockets that it listens on."""
    given: Inherited | None = None
    leaving: bool = False

    @property
    def is_unix(self) -> bool:
        """Whether the endpoint is a path."""
        return self.transport == "unix"


class Listeners:
    """Who listens where, and what can be handed on."""

    def __init__(self, inherited: Iterable[Inherited] = ()) -> None:
        self._inherited = list(inherited)
        self._open: list[Listening] = []
        self._said: set[Inherited] = set()

    def find(self, wanted: Listening) -> Sequence[socket.socket]:
        """Return copies of the sockets that listen there already; the caller closes them.

        Raises: InTheWay.
        """
        wanted.given = self._handed_in(wanted)
        if wanted.given is not None:
            return (wanted.given.socket.dup(),)
        leaving = [other for other in self._open if other.leaving]
        for other in leaving:
            if (other.transport, other.endpoint) == (wanted.transport, wanted.endpoint):
                return other.share()
        for other in leaving:
            sockets = other.share()
            if sockets and all(fits(copy, wanted, exactly=True) for copy in sockets):
                return sockets
            names = [copy.getsockname() for copy in sockets]
            for copy in sockets:
                copy.close()
            if any(shares_port(name, wanted) for name in names):
                raise InTheWay(other.owner, other.endpoint)
        return ()

    def add(self, listening: Listening) -> None:
        """A component listens."""
        self._open.append(listening)
        if listening.given is not None:
            self._said.discard(listening.given)

    def remove(self, listening: Listening) -> None:
        """It is about to close its own copies. The path of a Unix socket goes with the last one."""
        if listening not in self._open:
            return
        self._open.remove(listening)
        others = (other.endpoint for other in self._open if other.is_unix)
        if listening.is_unix and listening.given is None and listening.endpoint not in others:
            with contextlib.suppress(OSError):
                os.unlink(listening.endpoint)

    def leave(self, owners: Collection[str]) -> None:
        """Whoever starts from now on may take over from these components; none: nobody leaves."""
        for listening in self._open:
            listening.leaving = listening.owner in owners

    def unused(self) -> Iterator[Inherited]:
        """Yield the sockets that were handed in and that nobody uses, once until they are used."""
        used = {listening.given for listening in self._open}
        for inherited in self._inherited:
            if inherited not in used | self._said:
                self._said.add(inherited)
                yield inherited

    def _handed_in(self, wanted: Listening) -> Inherited | None:
        """Return the socket of that name, or else one of that address, that nobody else uses."""
        taken = {listening.given for listening in self._open if not listening.leaving}
        free = [given for given in self._inherited if given not in taken]
        named = (given for given in free if given.name == wanted.name)
        fitting = (given for given in free if fits(given.socket, wanted))
        return next(named, None) or next(fitting, None)


def fits(bound: socket.socket, wanted: Listening, *, exactly: bool = False) -> bool:
    """Tell whether a socket takes the connections that an endpoint is for.

    Unless ``exactly``, one that listens on every address does for each of them. ``localhost`` is
    either loopback address; other names are not looked up.
    """
    name = bound.getsockname()
    if wanted.is_unix or is_unix(bound):
        paths = wanted.is_unix and is_unix(bound)
        return paths and os.path.abspath(os.fsdecode(name)) == os.path.abspath(wanted.endpoint)
    if not shares_port(name, wanted):
        return False
    there = _address(name[0])
    if there.is_unspecified:
        return not exactly
    host = wanted.endpoint.strip().rpartition(":")[0].strip("[]")
    if host == "localhost":
        return there.is_loopback
    try:
        return _address(host) == there
    except ValueError:
        return False


def shares_port(name: Any, wanted: Listening) -> bool:
    """Tell whether a socket of this name has the port of an endpoint."""
    if wanted.is_unix or not isinstance(name, tuple):
        return False
    return wanted.endpoint.strip().rpartition(":")[2] == str(name[1])


def shown(name: Any) -> str:
    """Return the name of a socket as people write it."""
    if not isinstance(name, tuple):
        return os.fsdecode(name)
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{host}:{name[1]}"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
