"""Send a batch from a thread of the program, and wait for what becomes of it."""

from __future__ import annotations

import logging
import os
import random
import select
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Protocol

from heliograph._core import Batch, Call, Events, GrpcClient, HttpClient, Outcome

_logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 32.0
"""Seconds between two attempts: doubled each time, give or take a fifth."""

_inherited: list[object] = []
"""Clients of a parent process, kept for ever: closing them would close the parent's connections."""


class NativeClient(Protocol):
    """What the two clients of the core have in common."""

    def send(self, batch: Batch, timeout: float, target: Callable[[Outcome], None]) -> Call: ...


class Sender:
    """Sends one batch at a time, again when it may help, and never longer than it is given.

    Args:
        make: makes the client; called again in a forked child.
        where: what messages call the other side.
    """

    def __init__(self, make: Callable[[Events], NativeClient], where: str) -> None:
        self._make = make
        self._where = where
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._failing = False
        self._open()

    def send(self, batch: Batch, timeout: float) -> bool:
        """Return whether the other side has the batch, after at most so many seconds."""
        deadline = time.monotonic() + timeout
        if os.getpid() != self._process:
            self._after_fork()
        wait = FIRST_WAIT
        with self._lock:
            while True:
                outcome = self._attempt(batch, deadline)
                if outcome is None:
                    return self._failed(f"{self._where} did not answer within {timeout:g} s")
                if outcome.ok:
                    return self._arrived(outcome)
                if not outcome.retryable:
                    return self._failed(f"{self._where} refused: {_reason(outcome)}")
                pause = outcome.retry_after
                if pause is None:
                    pause = wait * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
                wait = min(2 * wait, LONGEST_WAIT)
                ended = time.monotonic() + pause >= deadline
                if ended or self._closed.wait(pause):
                    return self._failed(f"{self._where} cannot be reached: {_reason(outcome)}")

    def close(self) -> None:
        """End what is under way; what is sent later fails after one attempt."""
        self._closed.set()

    def _attempt(self, batch: Batch, deadline: float) -> Outcome | None:
        """Send once; None when the time is over."""
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        outcomes: list[Outcome] = []
        call = self._client.send(batch, left, outcomes.append)
        poll = select.poll()
        poll.register(self._events.fileno(), select.POLLIN)
        while not outcomes and left > 0:
            poll.poll(left * 1e3)
            for target, payload in self._events.drain():
                target(payload)
            left = deadline - time.monotonic()
        if not outcomes:
            call.cancel()
            return None
        return outcomes[0]

    def _open(self) -> None:
        self._process = os.getpid()
        self._events = Events()
        self._client = self._make(self._events)

    def _after_fork(self) -> None:
        _inherited.append((self._events, self._client))
        self._lock = threading.Lock()
        self._open()

    def _arrived(self, outcome: Outcome) -> bool:
        if self._failing:
            self._failing = False
            _logger.info("%s takes telemetry again.", self._where)
        if outcome.rejected or outcome.message:
            _logger.warning(
                "%s did not take %d items: %s", self._where, outcome.rejected, outcome.message
            )
        return True

    def _failed(self, reason: str) -> bool:
        # Once, until it works again.
        if not self._failing:
            self._failing = True
            _logger.error("Telemetry was not exported: %s.", reason)
        return False


def _reason(outcome: Outcome) -> str:
    what = f"HTTP {outcome.status}" if outcome.status else f"gRPC status {outcome.code}"
    return f"{what}: {outcome.message}" if outcome.message else what


def client_settings(
    *,
    headers: Mapping[str, str],
    compression: str,
    secure: bool,
    ca_file: str | None,
    cert_file: str | None,
    key_file: str | None,
) -> dict[str, Any]:
    """Return what both native clients take."""
    tls: dict[str, Any] = {
        "ca_file": ca_file,
        "ca_pem": None,
        "include_system_ca_certs_pool": False,
        "cert_file": cert_file,
        "cert_pem": None,
        "key_file": key_file,
        "key_pem": None,
        "insecure_skip_verify": False,
        "server_name_override": None,
        "min_version": None,
        "max_version": None,
        "cipher_suites": [],
        "curve_preferences": [],
        "reload_interval": 0.0,
    }
    return {
        "tls": tls if secure else None,
        "compression": "" if compression == "none" else compression,
        "level": None,
        "headers": list(headers.items()),
        "user_agent": f"OTel-OTLP-Exporter-Python-heliograph/{version('heliograph')}",
        "proxy_url": None,
    }


def grpc_client(endpoint: str, common: Mapping[str, Any]) -> Callable[[Events], GrpcClient]:
    """Return what makes a client; ``endpoint`` is host:port, or a URL."""
    settings = {
        **common,
        "endpoint": endpoint,
        "authority": None,
        "balancer_name": "round_robin",
        "wait_for_ready": False,
        "keepalive": None,
        "look_up_interval": 30.0,
    }
    return lambda events: GrpcClient(events, settings)


def http_client(url: str, common: Mapping[str, Any]) -> Callable[[Events], HttpClient]:
    """Return what makes a client that posts metrics to this URL."""
    settings = {
        **common,
        "urls": (None, url, None, None),
        "json": False,
        "http2": True,
        "max_conns_per_host": None,
        "max_idle_conns_per_host": 1,
        "idle_conn_timeout": 90.0,
        "keep_alives": True,
        "ping": None,
    }
    return lambda events: HttpClient(events, settings)
