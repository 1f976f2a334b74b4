"""Backends on loopback that exporters send to, and what they got."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc


@dataclass
class Received:
    """One request as a backend saw it."""

    path: str
    headers: dict[str, str]
    body: bytes
    remaining: float | None = None
    """Seconds until the deadline that came with it."""


class GrpcBackend:
    """Official gRPC, any method; ``answer(context)`` returns the response or aborts."""

    def __init__(
        self,
        answer: Callable[[grpc.ServicerContext], bytes] = lambda context: b"",
        *,
        address: str = "127.0.0.1:0",
        credentials: grpc.ServerCredentials | None = None,
        options: tuple[tuple[str, Any], ...] = (),
    ) -> None:
        self.answer = answer
        self.received: list[Received] = []
        options = (("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0), *options)
        self._server = grpc.server(ThreadPoolExecutor(8), options=options)
        self._server.add_generic_rpc_handlers((_Anything(self),))
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        self._server.start()

    def stop(self, grace: float | None = None) -> None:
        self._server.stop(grace).wait()

    def _handle(self, path: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        headers = {str(key): str(value) for key, value in context.invocation_metadata()}
        self.received.append(Received(path, headers, body, context.time_remaining()))
        return self.answer(context)


class _Anything(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, backend: GrpcBackend) -> None:
        self._backend = backend

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        path = details.method
        return grpc.unary_unary_rpc_method_handler(
            lambda body, context: self._backend._handle(path, body, context)
        )


@dataclass
class Answer:
    """What an `HttpBackend` says."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpBackend:
    """HTTP/1.1; ``answer(request)`` decides. ``wrap`` may put TLS around the socket."""

    def __init__(
        self,
        answer: Callable[[Received], Answer] = lambda request: Answer(),
        *,
        host: str = "127.0.0.1",
        wrap: Callable[[Any], Any] | None = None,
    ) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.connections = 0
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                backend.connections += 1
                super().setup()

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                request = Received(self.path, headers, body)
                backend.received.append(request)
                answer = backend.answer(request)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server((host, 0), Handler)
        if wrap is not None:
            self._server.socket = wrap(self._server.socket)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
