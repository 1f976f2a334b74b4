"""A gRPC backend of hyper-h2 that misbehaves as told: what no official server does on demand."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    PingReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
)


@dataclass
class Stream:
    """One request on one connection."""

    connection: Connection
    number: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    @property
    def message(self) -> tuple[bool, bytes]:
        """Whether the gRPC message is compressed, and its bytes."""
        compressed, length = struct.unpack_from(">BI", self.body)
        assert len(self.body) == 5 + length
        return bool(compressed), bytes(self.body[5:])

    def answer(self, status: int = 0, **trailers: str) -> None:
        """Finish with a gRPC status."""
        h2 = self.connection.h2
        head = [(":status", "200"), ("content-type", "application/grpc")]
        h2.send_headers(self.number, head)
        h2.send_data(self.number, b"\0\0\0\0\0")
        fields = [(name.replace("_", "-"), value) for name, value in trailers.items()]
        h2.send_headers(self.number, [("grpc-status", str(status)), *fields], end_stream=True)

    def plain(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Finish with an HTTP status and no gRPC at all."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.connection.h2.send_headers(self.number, [(":status", str(status)), *fields])
        self.connection.h2.send_data(self.number, body, end_stream=True)

    def reset(self, code: int) -> None:
        self.connection.h2.reset_stream(self.number, code)


class Connection(asyncio.Protocol):
    def __init__(self, backend: H2Backend) -> None:
        self._backend = backend
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._streams: dict[int, Stream] = {}
        self.pings: list[float] = []
        self.resets: list[int] = []
        self.goaway: ConnectionTerminated | None = None
        self.is_open = True

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._backend.connections.append(self)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._backend.deaf:
            return
        for event in self.h2.receive_data(data):
            match event:
                case RequestReceived():
                    headers = dict(event.headers)
                    self._streams[event.stream_id] = Stream(self, event.stream_id, headers)
                case DataReceived():
                    self._streams[event.stream_id].body += event.data
                    length = event.flow_controlled_length
                    self.h2.acknowledge_received_data(length, event.stream_id)
                case StreamEnded():
                    stream = self._streams[event.stream_id]
                    self._backend.streams.append(stream)
                    self._backend.handle(stream)
                case PingReceived():
                    self.pings.append(asyncio.get_running_loop().time())
                case StreamReset():
                    self.resets.append(event.stream_id)
                case ConnectionTerminated():
                    self.goaway = event
        self.flush()

    def flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def go_away(self, last: int, code: int = 0, data: bytes = b"") -> None:
        """Say GOAWAY but, as servers do, finish what was begun."""
        frame = struct.pack(">I", 8 + len(data))[1:] + b"\x07\0" + struct.pack(">I", 0)
        self.flush()
        self.transport.write(frame + struct.pack(">II", last, code) + data)


class H2Backend:
    """Calls ``handle(stream)`` for each request that has come in whole."""

    def __init__(self, handle: Callable[[Stream], None]) -> None:
        self.handle = handle
        self.streams: list[Stream] = []
        self.connections: list[Connection] = []
        self.deaf = False
        """Read nothing any more, not even pings."""
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None, path: str | None = None) -> H2Backend:
        loop = asyncio.get_running_loop()
        if path is not None:
            self._server = await loop.create_unix_server(lambda: Connection(self), path)
        else:
            self._server = await loop.create_server(
                lambda: Connection(self), "127.0.0.1", 0, ssl=tls
            )
            self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await asyncio.sleep(0)  # what was just accepted is a connection one turn later
            for connection in self.connections:
                connection.transport.abort()
            await until(lambda: not any(connection.is_open for connection in self.connections))
            self._server = None


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fails after five seconds."""
    end = asyncio.get_running_loop().time() + 5
    while not condition():
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.005)  # what is waited for is on another thread
