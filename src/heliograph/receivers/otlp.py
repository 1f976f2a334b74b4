"""Receive OTLP over gRPC and over HTTP.

YAML: ``receivers: otlp``, any signal; ``protocols`` names ``grpc``, ``http`` or both. Fields:
`Config`. HTTP takes protobuf and JSON, over HTTP/1.1 and HTTP/2 on one port. A sender hears
"accepted" when the pipelines have delivered, and "try again" after five seconds, or before its own
deadline. Requests over their limits, malformed ones, and those for which there is no memory are
answered without the pipelines. Holds no data.
Source: the Collector's otlpreceiver.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, cast

from pydantic import BeforeValidator, model_validator

from heliograph._core import OtlpQuestion, OtlpRequest, OtlpServer
from heliograph.errors import ConfigError, Problem, Reject, Retry
from heliograph.otlp import Signal
from heliograph.pipeline.component import (
    Authenticator,
    ComponentConfig,
    ComponentId,
    Consumer,
    Settings,
    through,
)
from heliograph.pipeline.fields import Field
from heliograph.pipeline.listeners import InTheWay, Listening
from heliograph.pipeline.net import GrpcServer, HttpServer, Server
from heliograph.pipeline.redaction import redact

PATIENCE = 5.0
"""Seconds that a sender waits at most."""
MARGIN = 0.2
"""Seconds before a sender's own deadline at which it is answered."""
SWEEP = 0.1
GRACE = 8.0
"""Seconds that requests in flight have when the receiver stops."""
INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 13, 14, 16
AFTER = 1.0
"""Seconds a sender is asked to wait where nobody downstream said how long."""


def _path(value: object) -> object:
    """A URL path begins with a slash, written or not."""
    return f"/{value.lstrip('/')}" if isinstance(value, str) else value


UrlPath = Annotated[str, BeforeValidator(_path)]


class Grpc(GrpcServer):
    """OTLP over gRPC."""

    endpoint: str = Field("localhost:4317", description="host:port, or a Unix socket's path.")


class Http(HttpServer):
    """OTLP over HTTP."""

    endpoint: str = Field("localhost:4318", description="host:port, or a Unix socket's path.")
    traces_url_path: UrlPath = Field("/v1/traces", description="Where traces are posted.")
    metrics_url_path: UrlPath = Field("/v1/metrics", description="Where metrics are posted.")
    logs_url_path: UrlPath = Field("/v1/logs", description="Where logs are posted.")
    profiles_url_path: UrlPath = Field(
        "/v1development/profiles", description="Where profiles are posted."
    )

    def paths(self) -> list[tuple[str, Signal]]:
        return [
            (self.traces_url_path, Signal.TRACES),
            (self.metrics_url_path, Signal.METRICS),
            (self.logs_url_path, Signal.LOGS),
            (self.profiles_url_path, Signal.PROFILES),
        ]


class Protocols(ComponentConfig):
    """A protocol that is not named is off; ``grpc:`` alone turns it on as it is."""

    grpc: Grpc | None = Field(None, description="OTLP over gRPC.")
    http: Http | None = Field(None, description="OTLP over HTTP.")

    @model_validator(mode="before")
    @classmethod
    def _named_is_on(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: {} if given is None else given for name, given in value.items()}
        return value


class Config(ComponentConfig):
    protocols: Protocols = Field(Protocols(), description="What to listen for.")

    def check(self) -> Iterator[Problem]:
        if not (self.protocols.grpc or self.protocols.http):
            yield Problem("protocols", "names no protocol", fix="add 'grpc:', 'http:' or both")


class Receiver:
    """Hands each request to its signal's pipelines in a task of its own, and answers it."""

    signals: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.TRACES, Signal.METRICS, Signal.LOGS, Signal.PROFILES}
    )
    hands_over: ClassVar[bool] = True

    def __init__(self, config: Config, settings: Settings, next: Mapping[Signal, Consumer]) -> None:
        self.addresses: dict[str, str] = {}
        """Protocol to the address that is bound, while running."""
        self._protocols = {
            name: server
            for name, server in (("grpc", config.protocols.grpc), ("http", config.protocols.http))
            if server is not None
        }
        self._settings = settings
        self._next = next
        self._servers: list[tuple[OtlpServer, Listening]] = []
        self._in_flight: dict[int, tuple[asyncio.Task[None], OtlpRequest, float]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        for name, server in self._protocols.items():
            path = f"protocols.{name}"
            try:
                await self._listen(name, server)
            except ConfigError as error:
                await self.stop()
                if isinstance(error, InTheWay):
                    raise
                raise ConfigError([problem.under(path) for problem in error.problems]) from None

    async def _listen(self, name: str, server: Server) -> None:
        ask = self._questions(server)
        native = server.settings() | {"signals": list(self._next)}
        if isinstance(server, Http):
            native["paths"] = [path for path in server.paths() if path[1] in self._next]
        log, telemetry = self._settings.log, self._settings.telemetry
        next = {signal: through(consumer, name) for signal, consumer in self._next.items()}
        warn = lambda text: log.warning("OTLP/%s %s", name, text)  # noqa: E731
        handlers = (partial(self._received, next), self._gone, warn, ask)
        wanted = Listening(
            f"receivers.{self._settings.id}",
            f"{self._settings.id}/{name}",
            server.endpoint,
            server.transport,
        )
        try:
            with contextlib.ExitStack() as copies:
                for given in self._settings.listeners.find(wanted):
                    native["socket"] = copies.enter_context(given).fileno()
                # A name may have to be resolved.
                started = await asyncio.to_thread(
                    OtlpServer, self._settings.edge.events, native, *handlers
                )
        except OSError as error:
            raise server.bind_problem(error) from None
        except ValueError as error:
            raise ConfigError([Problem("response_headers", str(error))]) from None
        wanted.share = lambda: [socket.socket(fileno=started.socket())]
        self._settings.listeners.add(wanted)
        self._servers.append((started, wanted))
        self.addresses[name] = started.address
        labels = {"receiver": str(self._settings.id), "transport": name}
        for index, reason in enumerate(("memory", "invalid")):
            gauge = "heliograph_receiver_turned_away_requests"
            telemetry.gauge(gauge, _turned_away(started, index), reason=reason, **labels)
        log.info("listens for OTLP/%s on %s", name, started.address)

    def _questions(self, server: Server) -> Callable[[OtlpQuestion], None] | None:
        """Return what is asked who a sender is, None where anybody may come in."""
        if server.auth is None:
            return None
        extension = self._settings.extensions.get(_component_id(server.auth.authenticator))
        if not hasattr(extension, "authenticate"):
            known = ", ".join(map(str, self._settings.extensions)) or "none"
            message = f"'{server.auth.authenticator}' is no authenticator in service.extensions"
            fix = f"list it there; running extensions: {known}"
            raise ConfigError([Problem("auth.authenticator", message, fix=fix)])
        authenticator = cast(Authenticator, extension)

        def ask(question: OtlpQuestion) -> None:
            task = self._loop.create_task(self._authenticate(question, authenticator))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

        return ask

    async def _authenticate(self, question: OtlpQuestion, authenticator: Authenticator) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                claims = await authenticator.authenticate(question.headers)
        except Reject as error:
            question.fail(error.code or UNAUTHENTICATED, error.reason)
        except Exception as error:
            # Not its text, in which there may be what the sender presented.
            self._settings.log.warning("the authenticator failed: %s", type(error).__name__)
            question.fail(UNAVAILABLE, "the authenticator failed", AFTER)
        else:
            question.admit(list(claims.items()))

    def _received(self, next: Mapping[Signal, Consumer], request: OtlpRequest) -> None:
        task = self._loop.create_task(self._deliver(next, request))
        id = request.id
        self._in_flight[id] = (task, request, self._loop.time() + PATIENCE)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)
        task.add_done_callback(partial(self._in_flight.pop, id))

    def _gone(self, id: int) -> None:
        """Give up what is done for a sender who has reset its request or hung up."""
        if found := self._in_flight.get(id):
            found[0].cancel()

    async def _deliver(self, next: Mapping[Signal, Consumer], request: OtlpRequest) -> None:
        try:
            await next[request.signal].consume(request.batch)
        except Retry as error:
            after = AFTER if error.after is None else error.after
            request.fail(UNAVAILABLE, redact(error.reason), after)
        except Reject as error:
            request.fail(error.code or INTERNAL, redact(error.reason))
        else:
            request.ok()

    def _sweep(self) -> None:
        """Answer whoever has waited long enough, and give up what was done for them."""
        now = self._loop.time()
        for task, request, leave_by in self._in_flight.values():
            deadline = request.deadline
            is_late = now >= leave_by or (deadline is not None and now >= deadline - MARGIN)
            late = "not delivered in time; send it again"
            if is_late and request.fail(UNAVAILABLE, late, AFTER):
                task.cancel()
        self._sweeper = self._loop.call_later(SWEEP, self._sweep) if self._in_flight else None

    async def stop(self) -> None:
        stopped = []
        while self._servers:
            done = self._loop.create_future()
            server, listening = self._servers.pop()
            self._settings.listeners.remove(listening)
            server.stop(GRACE, _setter(done))
            stopped.append(done)
        if stopped:
            await asyncio.gather(*stopped)
        self.addresses.clear()
        left = [*(task for task, _, _ in self._in_flight.values()), *self._asking]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None


def _turned_away(server: OtlpServer, index: int) -> Callable[[], float]:
    return lambda: server.turned_away()[index]


def _setter(future: asyncio.Future[None]) -> Callable[[None], None]:
    """Return a target that resolves a future, which may be cancelled by then."""

    def resolve(result: None) -> None:
        if not future.done():
            future.set_result(result)

    return resolve


def _component_id(text: str) -> ComponentId:
    type, _, name = text.partition("/")
    return ComponentId(type, name)
