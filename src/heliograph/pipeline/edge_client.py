"""The native client for coroutines: one future a call, and outcomes as the contract says them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar, cast

from heliograph._core import Answer, Call, GrpcClient, HttpClient, Outcome
from heliograph.errors import ConfigError, Problem, Reject, Retry, TooLarge
from heliograph.otlp import Batch, Signal
from heliograph.pipeline.component import Authenticator, ComponentId, Settings
from heliograph.pipeline.net_client import GrpcClientConfig, HttpClientConfig, bare
from heliograph.pipeline.sparingly import Sparingly

NO_TIMEOUT = 86_400.0
"""Seconds that stand for "no time-out"."""

_SIZE = re.compile(r"larger than|too large|exceeds|max.{0,20}size|size.{0,20}limit", re.IGNORECASE)
"""How gRPC servers say that a message is too large: they have no code for it but
RESOURCE_EXHAUSTED, which may also mean a quota."""

Payload = TypeVar("Payload")
Native = TypeVar("Native")


class Code(IntEnum):
    """gRPC's status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


async def reply(start: Callable[[Callable[[Payload], None]], Call]) -> Payload:
    """Start a native call with a target, and return what it says; cancelling cancels the call."""
    future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
    call = start(partial(_settle, future))
    try:
        return await future
    except asyncio.CancelledError:
        call.cancel()
        raise


def _settle(future: asyncio.Future[Any], payload: Any) -> None:
    if not future.done():
        future.set_result(payload)


def build(make: Callable[[], Native]) -> Native:
    """Make a native client.

    Raises: ConfigError when an option cannot be used, such as a certificate that is not there.
    """
    try:
        return make()
    except ValueError as error:
        option, message = error.args
        raise ConfigError([Problem(option, message)]) from None


def authenticator(
    config: GrpcClientConfig | HttpClientConfig, settings: Settings
) -> Authenticator | None:
    """Return the extension that ``auth`` names.

    Raises: ConfigError when there is none that signs requests.
    """
    if config.auth is None:
        return None
    type_, _, name = config.auth.authenticator.partition("/")
    found = settings.extensions.get(ComponentId(type_, name))
    if found is None or not hasattr(found, "headers"):
        message = (
            f"is '{config.auth.authenticator}', which is no authenticator in service.extensions"
        )
        raise ConfigError([Problem("auth.authenticator", message)])
    return cast(Authenticator, found)


class NativeSender(Protocol):
    """What the two clients of the core have in common."""

    def send(
        self,
        batch: Batch,
        timeout: float,
        target: Callable[[Outcome], None],
        headers: list[tuple[str, str]] | None = None,
    ) -> Call: ...

    def pin(self, addresses: list[str] | None) -> None: ...


class Sender:
    """Sends batches with a native client, one attempt each, as ``Exporter.consume`` must.

    Args:
        where: what messages call the other side, for each signal.
        timeout: seconds for one attempt; 0 for no bound.
        auth: what adds credentials to each request.
    """

    def __init__(
        self,
        client: NativeSender,
        settings: Settings,
        *,
        where: Mapping[Signal, str],
        timeout: float,
        auth: Authenticator | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.client = client
        self._send = client.send
        self._where = where
        self._timeout = timeout or NO_TIMEOUT
        self._auth = auth
        self._name = str(settings.id)
        self._say = Sparingly(settings.log, settings.clock.monotonic)
        self._dropped = settings.telemetry.items(
            "heliograph_exporter_dropped_{}", exporter=self._name, reason="partial_success"
        )

    async def send(self, batch: Batch) -> int:
        """Return when the other side has the batch, all but so many items.

        Raises:
            Retry: it may be sent again.
            TooLarge: parts of it may be taken.
            Reject: it will never be taken.
        """
        headers = list(self._auth.headers().items()) if self._auth else None
        # `reply` written out: this is what every request goes through.
        future: asyncio.Future[Outcome] = self._loop.create_future()
        call = self._send(batch, self._timeout, partial(_settle, future), headers)
        try:
            outcome = await future
        except asyncio.CancelledError:
            call.cancel()
            raise
        if not outcome.ok:
            raise self._failure(batch, outcome)
        if outcome.rejected or outcome.message or outcome.json:
            return self._partial_success(batch, outcome)
        return 0

    def _failure(self, batch: Batch, outcome: Outcome) -> Retry | Reject:
        said = outcome.message
        if outcome.json:
            said = str(_object(outcome.json).get("message", "")) or said
        what = f"HTTP {outcome.status}" if outcome.status else Code(outcome.code).name
        parts = (self._name, self._where[batch.signal], what, said)
        reason = ": ".join(part for part in parts if part)
        if outcome.retryable:
            return Retry(reason, outcome.retry_after)
        too_large = outcome.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (
            outcome.code == Code.RESOURCE_EXHAUSTED and _SIZE.search(said)
        )
        return (TooLarge if too_large else Reject)(reason, outcome.code)

    def _partial_success(self, batch: Batch, outcome: Outcome) -> int:
        """Say and count what the other side did not take; return how many items."""
        rejected, said = outcome.rejected, outcome.message
        if outcome.json:
            rejected, said = _partial_success(outcome.json)
        rejected = min(max(0, rejected), batch.items)
        if not rejected and not said:
            return 0
        self._dropped[batch.signal].value += rejected
        where = self._where[batch.signal]
        self._say.warning(
            "partial success", f"{where} did not take {rejected} of {batch.items} items: {said}"
        )
        return rejected


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _partial_success(text: bytes) -> tuple[int, str]:
    partial_success = _object(text).get("partialSuccess")
    if not isinstance(partial_success, dict):
        return 0, ""
    rejected = 0
    for name, value in partial_success.items():
        # Rejected counts are 64-bit, which JSON carries as text.
        if name.startswith("rejected") and str(value).isdecimal():
            rejected = int(value)
    return rejected, str(partial_success.get("errorMessage", ""))


class Poster:
    """POSTs whatever an exporter makes, over the core's pool of connections.

    Args:
        urls: where it will post to; decides whether certificates are read.
        timeout: seconds for one attempt; 0 for no bound.

    Raises: ConfigError when an option cannot be used.
    """

    def __init__(
        self, config: HttpClientConfig, settings: Settings, *urls: str, timeout: float
    ) -> None:
        native = config.native(*urls)
        self._client = build(lambda: HttpClient(settings.edge.events, native))
        self._auth = authenticator(config, settings)
        self._name = str(settings.id)
        self._timeout = timeout or NO_TIMEOUT

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the answer, whatever its status; ``body`` is compressed as configured.

        Raises: Retry when there was none.
        """
        fields = [*headers.items(), *(self._auth.headers().items() if self._auth else ())]
        url = bare(url)
        answer: Answer | Outcome = await reply(
            lambda target: self._client.post(url, fields, body, self._timeout, target)
        )
        if isinstance(answer, Outcome):
            raise Retry(f"{self._name}: {url}: {answer.message}", answer.retry_after)
        return answer


def grpc_client(config: GrpcClientConfig, settings: Settings) -> GrpcClient:
    """Make a gRPC client.

    Raises: ConfigError when an option cannot be used.
    """
    return build(lambda: GrpcClient(settings.edge.events, config.native()))
