"""Looking at an endpoint, step by step: name, connection, TLS, an empty export request."""

import select
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from heliograph._core import Batch, Events, GrpcClient, HttpClient, Outcome
from heliograph.instrument.doctor._destinations import GRPC, Target
from heliograph.instrument.doctor._verdict import Facts
from heliograph.otlp import Signal

TIMEOUT = 5.0
"""Seconds for each step."""

GLANCE = 2.0
"""Seconds for what a port answers to."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
SETTINGS = 4


def probe(target: Target) -> Facts:
    """Return what is seen of an OTLP endpoint. Raises nothing."""
    facts = Facts(target.where, target.protocol == GRPC, target.secure)
    address = _address(target)
    if address is None:
        return _asked(target, facts)
    facts = _reached(target, address, facts)
    if facts.lookup or facts.connect or facts.tls:
        return facts
    facts = _asked(target, facts)
    return facts if facts.ok else _looked(target, address, facts)


def _reached(target: Target, address: tuple[str, int], facts: Facts) -> Facts:
    try:
        _connected(address, TIMEOUT).close()
    except socket.gaierror as error:
        return replace(facts, lookup=str(error))
    except ConnectionRefusedError:
        return replace(facts, connect="refused")
    except TimeoutError:
        return replace(facts, connect="timeout")
    except OSError as error:
        return replace(facts, connect=error.strerror or str(error))
    return replace(facts, tls=_tls(target, address)) if target.secure else facts


def _address(target: Target) -> tuple[str, int] | None:
    """Return host and port; None for a Unix socket."""
    if target.protocol == GRPC:
        if target.where.startswith("unix"):
            return None
        parts = urlsplit(f"//{target.where.rpartition('/')[2]}")
        return parts.hostname or "localhost", parts.port or (443 if target.secure else 80)
    parts = urlsplit(target.where)
    return parts.hostname or "localhost", parts.port or (443 if target.secure else 80)


def _connected(address: tuple[str, int], timeout: float) -> socket.socket:
    return socket.create_connection(address, timeout=timeout)


def _context(target: Target, protocols: Sequence[str], *, trusting: bool) -> ssl.SSLContext:
    tls = target.native.get("tls") or {}
    context = ssl.create_default_context(cafile=tls.get("ca_file"))
    if trusting:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls.get("cert_file"):
        context.load_cert_chain(tls["cert_file"], tls.get("key_file"))
    context.set_alpn_protocols(list(protocols))
    return context


def _tls(target: Target, address: tuple[str, int]) -> str:
    try:
        context = _context(target, ("h2", "http/1.1"), trusting=False)
        with _connected(address, TIMEOUT) as plain:
            context.wrap_socket(plain, server_hostname=address[0]).close()
    except ssl.SSLCertVerificationError as error:
        return f"untrusted: {error.verify_message}"
    except ssl.SSLError as error:
        spoken = error.reason not in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}
        return str(error.reason or error) if spoken else "not spoken"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _asked(target: Target, facts: Facts) -> Facts:
    """Send an empty export request with the client that the program would use."""
    events, answers = Events(), list[Outcome]()
    make = GrpcClient if facts.grpc else HttpClient
    try:
        client = make(events, dict(target.native))
        batch = Batch(getattr(Signal, target.signal.upper()), b"")
        call = client.send(batch, TIMEOUT, answers.append)
    except Exception as error:
        return replace(facts, message=str(error))
    end = time.monotonic() + TIMEOUT + 1
    while not answers and time.monotonic() < end:
        if select.select([events], [], [], 0.2)[0]:
            for receive, payload in events.drain():
                receive(payload)
    if not answers:
        call.cancel()
        return replace(facts, message="no answer in time")
    found = answers[0]
    return replace(facts, ok=found.ok, code=found.code, status=found.status, message=found.message)


def _looked(target: Target, address: tuple[str, int], facts: Facts) -> Facts:
    """See what the port answers to instead."""
    host = f"{address[0]}:{address[1]}".encode()
    get = b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host
    http1 = _said(target, address, "http/1.1", get).startswith(b"HTTP/1.")
    frame = _said(target, address, "h2", PREFACE)
    return replace(
        facts,
        http1=http1,
        http2=len(frame) > 3 and frame[3] == SETTINGS,
        speaks_tls=not target.secure and not http1 and _speaks_tls(target, address),
    )


def _said(target: Target, address: tuple[str, int], protocol: str, opening: bytes) -> bytes:
    found = b""
    with suppress(OSError), _connected(address, GLANCE) as plain:
        channel: socket.socket = plain
        if target.secure:
            context = _context(target, [protocol], trusting=True)
            channel = context.wrap_socket(plain, server_hostname=address[0])
        channel.sendall(opening)
        while len(found) < 9 and (more := channel.recv(64)):
            found += more
    return found


def _speaks_tls(target: Target, address: tuple[str, int]) -> bool:
    with suppress(OSError), _connected(address, GLANCE) as plain:
        context = _context(target, ("h2", "http/1.1"), trusting=True)
        context.wrap_socket(plain, server_hostname=address[0]).close()
        return True
    return False
