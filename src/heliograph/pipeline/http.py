"""A small HTTP/1.1 server for pages that tools and people fetch: scrapes, health, status.

GET and HEAD only; keep-alive; bounded requests; answers compressed when they are worth it.
Telemetry itself comes in through the native edges, not here.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from heliograph._core import compress
from heliograph.pipeline.system import is_unix, start_unix_server, unix_socket

MAX_HEAD = 16 * 1024
"""Bytes of a request line with its headers."""
MAX_BODY = 64 * 1024
"""Bytes of a body, which is read and thrown away."""
WORTH_COMPRESSING = 1024
"""Answers below this many bytes go as they are."""

MAX_CONNECTIONS = 256
"""Beyond them the one that idles longest is closed, or else the newest."""

LEVELS = {"zstd": 1, "gzip": 1}
"""Content codings, best first, and how hard they try: pages are big and made for each request."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[!-~]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Request:
    """What was asked for; header names are lower-case, repeated ones joined with commas."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    peer: str = ""


@dataclass(frozen=True)
class Response:
    """What goes back."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Limits:
    """What a connection may take; times in seconds."""

    head: float = 10.0
    """From a request's first byte to the end of its headers and body."""
    idle: float = 60.0
    """Between requests."""
    write: float = 30.0
    """Until the other side has taken an answer."""
    keep_alive: bool = True
    """Whether a connection may carry several requests."""


class BadRequest(Exception):
    """The request cannot be answered; the connection closes after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Server:
    """Serves one address. ``handler`` answers GET and HEAD; an error in it is a logged 500."""

    def __init__(self, handler: Handler, log: logging.Logger, limits: Limits | None = None) -> None:
        self._handler = handler
        self._log = log
        self._limits = limits or Limits()
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._idle: dict[asyncio.Task[None], None] = {}
        """Connections between two requests; the one that waits longest comes first."""

    async def start(self, host: str | None, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen; port 0 takes a free one. Raises: OSError."""
        options = self._options(tls)
        self._servers = [await asyncio.start_server(self._connected, host, port, **options)]

    async def start_unix(self, path: Path, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a Unix socket, whose path stays when it is closed. Raises: OSError."""
        await self.start_on([_bound(path)], tls)

    async def start_on(
        self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen on sockets that are bound already, and close them at the end."""
        self._servers += await self._serve(sockets, tls)

    async def _serve(
        self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None
    ) -> list[asyncio.Server]:
        servers = []
        for each in sockets:
            options: dict[str, Any] = {"sock": each, **self._options(tls)}
            if not is_unix(each):
                server = await asyncio.start_server(self._connected, **options)
            else:
                if sys.version_info >= (3, 13):
                    options["cleanup_socket"] = False
                server = await start_unix_server(self._connected, **options)
            servers.append(server)
        return servers

    async def renew(self, tls: ssl.SSLContext) -> None:
        """Shake hands with another context from now on; open connections stay as they are."""
        old = self._servers
        self._servers = await self._serve(self.copies(), tls)
        for server in old:
            server.close()

    def _options(self, tls: ssl.SSLContext | None) -> dict[str, Any]:
        patience = {} if tls is None else {"ssl_handshake_timeout": self._limits.head}
        return {"ssl": tls, "limit": MAX_HEAD, **patience}

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._servers[0].sockets[0].getsockname()[1])

    def copies(self) -> list[socket.socket]:
        """Return copies of the sockets that it listens on."""
        return [each.dup() for server in self._servers for each in server.sockets]

    async def stop(self, grace: float = 2.0) -> None:
        """Stop listening, let answers under way finish for ``grace`` seconds, close the rest."""
        if not self._servers:
            return
        while self._servers:
            self._servers.pop().close()
        for task in self._idle:
            task.cancel()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= MAX_CONNECTIONS:
            longest = next(iter(self._idle), None)
            if longest is None:
                writer.transport.abort()
                return
            del self._idle[longest]
            longest.cancel()
        self._connections.add(task)
        writer.transport.set_write_buffer_limits(high=1, low=0)  # draining means all is taken
        try:
            while self._servers and await self._exchange(task, reader, writer):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._log.debug("a connection ended in the middle of a request")
            writer.transport.abort()  # closing would wait for whoever does not read
        except asyncio.CancelledError:
            self._log.debug("a connection was closed by the server")
        finally:
            self._connections.discard(task)
            self._idle.pop(task, None)
            writer.close()

    async def _exchange(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Read one request and answer it; return whether the connection goes on."""
        self._idle[task] = None
        async with asyncio.timeout(self._limits.idle):
            first = await reader.read(1)
        self._idle.pop(task, None)
        if not first:
            return False
        head_only = keep = False
        try:
            async with asyncio.timeout(self._limits.head):
                request, keep = await self._read(first, reader, writer)
            head_only = request.method == "HEAD"
            response = await self._answer(request)
            coded = await _coded(response, request.headers.get("accept-encoding", ""))
        except BadRequest as error:
            coded = Response(error.status, f"{error}\n".encode())
            keep = False
        writer.write(_head(coded, keep))
        if not head_only:
            writer.write(coded.body)
        async with asyncio.timeout(self._limits.write):
            await writer.drain()
        return keep

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"only GET and HEAD\n", headers={"Allow": "GET, HEAD"})
        try:
            return await self._handler(request)
        except Exception:
            self._log.exception("answering %s %r failed", request.method, request.path)
            return Response(500, b"internal error; the log has more\n")

    async def _read(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Request, bool]:
        try:
            head = first + await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise BadRequest(431, "the headers are too large") from error
        peer = writer.get_extra_info("peername")
        request, version = parse_head(head, peer[0] if isinstance(peer, tuple) else "")
        connection = request.headers.get("connection", "").lower()
        keep = "keep-alive" in connection if version == "HTTP/1.0" else "close" not in connection
        keep = keep and self._limits.keep_alive
        if "transfer-encoding" in request.headers:
            raise BadRequest(411, "a body needs Content-Length")
        length = request.headers.get("content-length", "0")
        if not _LENGTH.fullmatch(length):
            raise BadRequest(400, "Content-Length is not one number")
        if int(length) > MAX_BODY:
            raise BadRequest(413, f"a body may have {MAX_BODY} bytes")
        await reader.readexactly(int(length))
        return request, keep


def _bound(path: Path) -> socket.socket:
    """Return a socket bound to a path; one that nobody serves any more is out of the way."""
    made = unix_socket()
    try:
        if path.is_socket() and made.connect_ex(str(path)):
            path.unlink()
        made.close()
        made = unix_socket()
        made.bind(str(path))
    except OSError:
        made.close()
        raise
    return made


def parse_head(head: bytes, peer: str = "") -> tuple[Request, str]:
    """Return the request and its HTTP version. Raises: BadRequest."""
    line, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, version = line.split(" ")
    except ValueError as error:
        raise BadRequest(400, "the request line is malformed") from error
    if not (_TOKEN.fullmatch(method) and _TARGET.fullmatch(target)):
        raise BadRequest(400, "the request line is malformed")
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise BadRequest(505, "only HTTP/1.0 and HTTP/1.1")
    headers: dict[str, str] = {}
    for text in filter(None, lines):
        name, colon, value = text.partition(":")
        if not (colon and _TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
            raise BadRequest(400, "a header is malformed")
        key, value = name.lower(), value.strip(" \t")
        if key in headers and key in ("host", "content-length"):
            raise BadRequest(400, f"{key} stands there twice")
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    if target.lower().startswith(("http://", "https://")):
        target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
    path, _, query = target.partition("?")
    return Request(method, unquote(path), query, headers, peer), version


def accepts(header: str, coding: str) -> bool:
    """Whether an ``Accept-Encoding`` header allows a coding."""
    for clause in header.lower().split(","):
        name, *parameters = (part.strip() for part in clause.split(";"))
        if name == coding:
            return not any(part.replace(" ", "") in ("q=0", "q=0.0") for part in parameters)
    return False


async def _coded(response: Response, accepted: str) -> Response:
    """Compress the body on a thread, in the first coding that the other side takes."""
    coding = next((coding for coding in LEVELS if accepts(accepted, coding)), None)
    if len(response.body) < WORTH_COMPRESSING or coding is None:
        return response
    body = await asyncio.to_thread(compress, response.body, coding, LEVELS[coding])
    headers = {**response.headers, "Content-Encoding": coding, "Vary": "Accept-Encoding"}
    return Response(response.status, body, response.content_type, headers)


def _head(response: Response, keep: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        f"Connection: {'keep-alive' if keep else 'close'}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
