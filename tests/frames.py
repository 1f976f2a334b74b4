"""A gRPC client that works frame by frame, for what no proper client would send."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
from serving import EXPORT

from heliograph.otlp import Signal
from heliograph.receivers.otlp import Receiver

TRACES = EXPORT[Signal.TRACES]
HEADERS, PING, GOAWAY = 1, 6, 7


class Frame(NamedTuple):
    """An HTTP/2 frame as it stands on the wire."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Client:
    """HTTP/2, frame by frame."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.flush()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def open(self, path: str = TRACES, **headers: str) -> int:
        """Send the headers of a call; return its stream."""
        stream = self.h2.get_next_available_stream_id()
        said = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "test",
            ":path": path,
            "te": "trailers",
            "content-type": "application/grpc",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        self.h2.send_headers(stream, [*said.items()])
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, end: bool = True) -> None:
        """Send data as the windows allow, until the stream is reset."""
        while True:
            step = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            self.h2.send_data(stream, data[:step], end_stream=end and len(data) <= step)
            self.flush()
            data = data[step:]
            if not data:
                return
            while not self.h2.local_flow_control_window(stream):
                self.receive()
                if any(isinstance(event, h2.events.StreamReset) for event in self.events):
                    return

    def receive(self) -> bool:
        """Read once; False at the end of the connection."""
        data = self.socket.recv(65536)
        if data:
            self.events += self.h2.receive_data(data)
            self.flush()
        return bool(data)

    def until(self, kind: type, stream: int | None = None) -> Any:
        """Read until such an event has come, and return it."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream in (None, getattr(event, "stream_id", None)):
                    self.events.remove(event)
                    return event
            assert self.receive(), f"the connection ended before {kind.__name__}"

    def rest(self) -> Iterator[Frame]:
        """Read frames to the end, answering PINGs; the library gives up after a GOAWAY."""
        with self.socket.makefile("rb") as stream:
            while head := stream.read(9):
                length, kind, flags, number = struct.unpack(">IBBI", b"\0" + head)
                payload = stream.read(length)
                if kind == PING and not flags & 1:
                    self.socket.sendall(head[:4] + b"\1" + head[5:] + payload)
                yield Frame(kind, flags, number, payload)

    def call(self, message: bytes, flag: int = 0, **headers: str) -> dict[str, str]:
        """Make a call; return the headers and trailers of the answer."""
        stream = self.open(**headers)
        self.send(stream, struct.pack(">BI", flag, len(message)) + message)
        return self.answer(stream)

    def answer(self, stream: int) -> dict[str, str]:
        found = dict(self.until(h2.events.ResponseReceived, stream).headers)
        if "grpc-status" not in found and found[":status"] == "200":
            found |= dict(self.until(h2.events.TrailersReceived, stream).headers)
        return found


async def run(receiver: Receiver, talk: Callable[[Client], Any]) -> Any:
    """Talk to the server on a thread."""

    def work() -> Any:
        with Client(receiver.addresses["grpc"]) as client:
            return talk(client)

    return await asyncio.to_thread(work)
