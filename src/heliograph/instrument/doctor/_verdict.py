"""What an endpoint's test means, and what to do. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal[
    "ok", "no_such_host", "refused", "timeout", "unreachable", "untrusted", "no_tls", "tls_only",
    "wrong_protocol", "unauthorized", "forbidden", "not_found", "error",
]  # fmt: skip

UNIMPLEMENTED, PERMISSION_DENIED, UNAUTHENTICATED = 12, 7, 16


@dataclass(frozen=True)
class Facts:
    """What was seen. The steps come in this order; what comes after a failure is not tried.

    ``lookup``, ``connect`` and ``tls`` are errors; ``connect`` is ``refused``, ``timeout`` or a
    text, ``tls`` is ``untrusted: …``, ``not spoken`` or a text. ``ok``, ``code`` (gRPC's),
    ``status`` (HTTP's) and ``message`` are the answer to an empty export request. ``http1``,
    ``http2`` and ``speaks_tls`` are what the port answers to, looked at when that was refused.
    """

    where: str
    grpc: bool
    secure: bool
    lookup: str = ""
    connect: str = ""
    tls: str = ""
    ok: bool = False
    code: int = 0
    status: int = 0
    message: str = ""
    http1: bool = False
    http2: bool = False
    speaks_tls: bool = False


@dataclass(frozen=True)
class Verdict:
    """What is the matter; nothing is when ``kind`` is ``ok``."""

    kind: Kind
    text: str
    fix: str = ""


class _Rule(NamedTuple):
    holds: Callable[[Facts], bool]
    kind: Kind
    text: str
    fix: str = ""


_RULES = (
    _Rule(lambda f: bool(f.lookup), "no_such_host", "no such host: {where}", "check the name"),
    _Rule(
        lambda f: f.connect == "refused", "refused", "nobody listens at {where}",
        "start a collector there; 4318 is HTTP's port, 4317 is gRPC's",
    ),
    _Rule(
        lambda f: f.connect == "timeout", "timeout", "{where} does not answer",
        "check the address, and firewalls on the way",
    ),
    _Rule(lambda f: bool(f.connect), "unreachable", "{where}: {connect}", "check the address"),
    _Rule(
        lambda f: f.tls.startswith("untrusted"), "untrusted",
        "the certificate of {where} is not trusted ({tls})",
        "name its authority in OTEL_EXPORTER_OTLP_CERTIFICATE",
    ),
    _Rule(
        lambda f: f.tls == "not spoken", "no_tls", "{where} does not speak TLS",
        "write http:// in the endpoint",
    ),
    _Rule(
        lambda f: bool(f.tls), "error", "TLS with {where}: {tls}",
        "does it want a client's certificate? OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _KEY",
    ),
    _Rule(lambda f: f.ok, "ok", "{where} takes it"),
    _Rule(
        lambda f: f.status == 401 or f.code == UNAUTHENTICATED, "unauthorized",
        "{where} wants to know who sends",
        "set OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Bearer%20TOKEN",
    ),
    _Rule(
        lambda f: f.status == 403 or f.code == PERMISSION_DENIED, "forbidden",
        "{where} does not take it from you", "check the credentials",
    ),
    _Rule(
        lambda f: f.speaks_tls and not f.secure, "tls_only", "{where} speaks TLS",
        "write https:// in the endpoint",
    ),
    _Rule(
        lambda f: f.grpc and f.http1, "wrong_protocol", "{where} speaks HTTP, not gRPC",
        "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use port 4317",
    ),
    _Rule(
        lambda f: not f.grpc and f.http2 and not f.http1, "wrong_protocol",
        "{where} speaks gRPC, not HTTP",
        "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use port 4318",
    ),
    _Rule(
        lambda f: f.status == 404 or f.code == UNIMPLEMENTED, "not_found",
        "{where} has no OTLP there",
        "OTEL_EXPORTER_OTLP_ENDPOINT is without /v1/…, those of the signals are with it",
    ),
    _Rule(lambda f: bool(f.message), "error", "{where}: {message}"),
    _Rule(lambda _: True, "error", "{where}: status {status}"),
)  # fmt: skip
"""The first that holds is what is the matter."""


def judge(facts: Facts) -> Verdict:
    """Return what the facts mean."""
    rule = next(rule for rule in _RULES if rule.holds(facts))
    shown = vars(facts) | {"tls": facts.tls.removeprefix("untrusted: ")}
    return Verdict(rule.kind, rule.text.format(**shown), rule.fix)
