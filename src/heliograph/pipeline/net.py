"""How components reach the network: endpoints, TLS, and the servers that receivers share.

Field names and defaults are the Collector's configtls, configgrpc and confighttp.
"""

from __future__ import annotations

import errno
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from heliograph.errors import ConfigError, Problem
from heliograph.pipeline.component import ComponentConfig, Kind
from heliograph.pipeline.fields import ByteSize, Duration, Field, Headers, Secret

MIB = 2**20
DEFAULT_GRPC_MESSAGE = 4 * MIB
BODY_PATIENCE = 30.0
"""Seconds that a request body may take where the configuration says nothing; a body that keeps
coming gets more."""
HANDSHAKE = 20.0
"""Seconds that a gRPC client may take to begin."""
MAX_STREAMS = 100
"""Requests in flight on one connection where the configuration says nothing."""

_ANY = {"tcp4": "0.0.0.0", "tcp6": "::"}  # noqa: S104  # what the user asked for
_BROKEN = ("1.0", "1.1")
_LOCAL = re.compile(r"(.*\.)?localhost[46]?\.?|ip6-(localhost|loopback)", re.IGNORECASE)
_ENDPOINT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:\[\]/]*)):(?P<port>\d{1,5})")


def one_or_many(value: object) -> object:
    """A scalar stands for a list of one."""
    return [value] if isinstance(value, str) else value


StringList = Annotated[list[str], BeforeValidator(one_or_many)]


@dataclass(frozen=True)
class Address:
    """``host:port`` taken apart; an empty host is every interface, port 0 any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; any other name than localhost counts as not."""
        try:
            found = ipaddress.ip_address(self.host)
        except ValueError:
            return _LOCAL.fullmatch(self.host) is not None
        mapped = getattr(found, "ipv4_mapped", None)
        return (mapped or found).is_loopback


def parse_endpoint(endpoint: str) -> Address:
    """Take ``localhost:4317``, ``:4317``, ``0.0.0.0:0`` or ``[::1]:4317`` apart.

    Raises: ValueError that says what is wrong.
    """
    match = _ENDPOINT.fullmatch(endpoint.strip())
    if match is None:
        if "://" in endpoint:
            raise ValueError(f"is '{endpoint}', a URL; a server listens on host:port")
        raise ValueError(f"is '{endpoint}', not host:port")
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f"is '{endpoint}', and ports end at 65535")
    return Address(match["v6"] if match["v6"] is not None else match["host"], port)


TlsVersion = Literal["", "1.0", "1.1", "1.2", "1.3"]
"""As written; what is below 1.2 is refused with a fix."""


class TlsConfig(ComponentConfig):
    """What both sides of a TLS connection say."""

    ca_file: Path | None = Field(None, description="Certificates that are trusted; a file.")
    ca_pem: Secret | None = Field(None, description="The same as text.")
    include_system_ca_certs_pool: bool = Field(
        False, description="Trust the system's certificates beside them."
    )
    cert_file: Path | None = Field(None, description="Certificate chain that we show; a file.")
    cert_pem: Secret | None = Field(None, description="The same as text.")
    key_file: Path | None = Field(None, description="Private key of the certificate; a file.")
    key_pem: Secret | None = Field(None, description="The same as text.")
    min_version: TlsVersion = Field(
        "", description="Lowest TLS version: 1.2 or 1.3; 1.2 when not given."
    )
    max_version: TlsVersion = Field(
        "", description="Highest TLS version: 1.2 or 1.3; 1.3 when not given."
    )
    cipher_suites: StringList = Field(
        default_factory=list, description="Cipher suites by IANA name; all safe ones when empty."
    )
    reload_interval: Duration | None = Field(
        None, ge=0, description="Read the files again when they were read so long ago."
    )

    def versions(self) -> tuple[int, int]:
        """Minor versions of TLS 1, lowest and highest."""
        lowest = 3 if self.min_version == "1.3" else 2
        return lowest, 2 if self.max_version == "1.2" else 3

    def check(self) -> Iterator[Problem]:
        for what in ("ca", "cert", "key"):
            if getattr(self, f"{what}_file") and getattr(self, f"{what}_pem"):
                yield Problem(f"{what}_pem", f"stands beside {what}_file", fix="give one of them")
        has_cert, has_key = (
            bool(getattr(self, f"{what}_file") or getattr(self, f"{what}_pem"))
            for what in ("cert", "key")
        )
        if has_cert != has_key:
            missing, there = ("key", "cert") if has_cert else ("cert", "key")
            yield Problem(f"{missing}_file", f"is missing beside {there}_file")
        old = [name for name in ("min_version", "max_version") if getattr(self, name) in _BROKEN]
        for name in old:
            yield Problem(name, f"is {getattr(self, name)}, which is broken", "use 1.2 or 1.3")
        if not old and self.versions() == (3, 2):
            yield Problem("max_version", "is 1.2, below min_version (1.3)", "use 1.3")


class TlsServer(TlsConfig):
    """``tls`` of a server."""

    client_ca_file: Path | None = Field(
        None, description="Demand client certificates that these have signed."
    )
    client_ca_file_reload: bool = Field(
        False, description="Read client_ca_file again every 10s where reload_interval is not given."
    )

    def check(self) -> Iterator[Problem]:
        yield from super().check()
        if not (self.cert_file or self.cert_pem or self.key_file or self.key_pem):
            yield Problem("cert_file", "is missing; a TLS server shows a certificate")

    @property
    def reload_every(self) -> float | None:
        """Seconds after which the files are read again; None for never."""
        return self.reload_interval or (10.0 if self.client_ca_file_reload else None)

    def settings(self) -> dict[str, object]:
        """What the native server takes."""
        return {
            "cert_file": self.cert_file,
            "cert_pem": self.cert_pem and self.cert_pem.get_secret_value(),
            "key_file": self.key_file,
            "key_pem": self.key_pem and self.key_pem.get_secret_value(),
            "client_ca_file": self.client_ca_file,
            "client_ca_pem": None,
            "versions": self.versions(),
            "cipher_suites": self.cipher_suites,
            "reload_interval": self.reload_every,
        }


class Auth(ComponentConfig):
    """``auth``: which extension looks at who is there, or shows who we are."""

    authenticator: str = Field(description="Id of an authenticator extension.")


class EnforcementPolicy(ComponentConfig):
    """What clients may do to keep a connection alive."""

    min_time: Duration = Field("5m", ge=0, description="Least time between two PINGs.")
    permit_without_stream: bool = Field(
        False, description="Allow PINGs while no request is in flight."
    )


class ServerParameters(ComponentConfig):
    """How long connections live. What is not given is for ever."""

    max_connection_idle: Duration | None = Field(
        None, ge=0, description="Close a connection without requests after so long."
    )
    max_connection_age: Duration | None = Field(
        None, ge=0, description="Close a connection after so long, a tenth more or less."
    )
    max_connection_age_grace: Duration | None = Field(
        None, ge=0, description="Then, cut off requests in flight after so long."
    )
    time: Duration = Field("2h", ge=0, description="Ask a silent client whether it is there.")
    timeout: Duration = Field("20s", ge=0, description="How long it has to answer.")


class Keepalive(ComponentConfig):
    """``keepalive`` of a gRPC server."""

    server_parameters: ServerParameters = Field(
        ServerParameters(), description="How long connections live."
    )
    enforcement_policy: EnforcementPolicy = Field(
        EnforcementPolicy(), description="What clients may do to keep them alive."
    )


class Server(ComponentConfig):
    """What gRPC and HTTP servers have in common."""

    endpoint: str = Field(description="host:port to listen on, or the path of a Unix socket.")
    transport: Literal["tcp", "tcp4", "tcp6", "unix"] = Field(
        "tcp", description="Kind of socket; unix takes a path as endpoint."
    )
    tls: TlsServer | None = Field(None, description="TLS; plain text when not given.")
    auth: Auth | None = Field(None, description="Who may send here.")
    include_metadata: bool = Field(
        False, description="Keep request headers as metadata in the batch's context."
    )

    def check(self) -> Iterator[Problem]:
        if self.transport != "unix":
            try:
                parse_endpoint(self.endpoint)
            except ValueError as error:
                yield Problem("endpoint", str(error), fix="write host:port, such as 0.0.0.0:4317")

    def advise(self, kind: Kind) -> Iterator[Problem]:
        """Warn of a receiver that takes data from whoever reaches it.

        Pages (health, metrics) are not warned of: they take nothing in, and are there to be read.
        """
        if kind is not Kind.RECEIVER or self.transport == "unix":
            return
        address = parse_endpoint(self.endpoint)
        known = self.auth is not None or (self.tls is not None and self.tls.client_ca_file)
        if not known and not address.is_loopback:
            yield Problem(
                "endpoint",
                "can be reached from other machines, and whoever reaches it may send",
                fix=f"listen on localhost:{address.port}, name an authenticator under auth, "
                "or demand client certificates with tls.client_ca_file",
            )

    def settings(self) -> dict[str, Any]:
        """What the native server takes; protocols add theirs."""
        is_unix = self.transport == "unix"
        address = Address("", 0) if is_unix else parse_endpoint(self.endpoint)
        return {
            "unix": Path(self.endpoint) if is_unix else None,
            "host": address.host or _ANY.get(self.transport, ""),
            "port": address.port,
            "socket": None,
            "include_metadata": self.include_metadata,
            "tls": self.tls and self.tls.settings(),
            "paths": [],
            "codings": None,
            "cors": None,
            "response_headers": [],
            "keep_alives": True,
            "header_timeout": HANDSHAKE,
            "body_timeout": BODY_PATIENCE,
            "write_timeout": 30.0,
            "max_streams": MAX_STREAMS,
        } | keepalive_settings(Keepalive())

    def bind_problem(self, error: OSError) -> ConfigError:
        """Say what kept a server from listening, and which option to change."""
        reason = str(error.strerror or error)
        if error.errno == errno.EADDRINUSE:
            fix = "stop what listens there, or change the port"
            return _problem("endpoint", f"{self.endpoint} is in use by another program", fix)
        if error.errno == errno.EACCES:
            return _problem("endpoint", f"{self.endpoint} may not be opened by this user")
        if error.errno == errno.EADDRNOTAVAIL:
            fix = "use an address of this machine, or 0.0.0.0 for all"
            return _problem("endpoint", f"{self.endpoint} is no address of this machine", fix)
        name = "tls" if self.tls and not error.errno else "endpoint"
        return _problem(name, f"cannot listen on {self.endpoint}: {reason}")


def _problem(path: str, message: str, fix: str | None = None) -> ConfigError:
    return ConfigError([Problem(path, message, fix)])


def keepalive_settings(keepalive: Keepalive) -> dict[str, object]:
    """What the native server takes of it; 0 is for ever, as in gRPC."""
    parameters, policy = keepalive.server_parameters, keepalive.enforcement_policy
    return {
        "max_idle": parameters.max_connection_idle or None,
        "max_age": parameters.max_connection_age or None,
        "max_age_grace": parameters.max_connection_age_grace or None,
        "ping_time": parameters.time or 7200.0,
        "ping_timeout": parameters.timeout or 20.0,
        "ping_min_time": policy.min_time or 300.0,
        "ping_without_stream": policy.permit_without_stream,
    }


class GrpcServer(Server):
    """A gRPC server."""

    max_recv_msg_size_mib: int = Field(
        0, ge=0, unit="MiB", description="Largest message, before and after decompression; 0 is 4."
    )
    max_concurrent_streams: int = Field(
        0, ge=0, le=2**31 - 1, description="Requests in flight on one connection; 0 is 100."
    )
    read_buffer_size: ByteSize = Field(
        512 * 1024, ge=0, description="Accepted for compatibility: windows grow with the messages."
    )
    write_buffer_size: ByteSize = Field(
        32 * 1024, ge=0, description="Accepted for compatibility: answers are small."
    )
    keepalive: Keepalive = Field(Keepalive(), description="How connections are kept and ended.")

    def settings(self) -> dict[str, Any]:
        return (
            super().settings()
            | keepalive_settings(self.keepalive)
            | {
                "grpc": True,
                "max_bytes": self.max_recv_msg_size_mib * MIB or DEFAULT_GRPC_MESSAGE,
                "max_streams": self.max_concurrent_streams or MAX_STREAMS,
            }
        )


class Cors(ComponentConfig):
    """Which pages a browser lets send here."""

    allowed_origins: StringList = Field(
        default_factory=list, description="Origins, each with at most one *; none when empty."
    )
    allowed_headers: StringList = Field(
        default_factory=list, description="Request headers beyond the usual ones; * for any."
    )
    exposed_headers: StringList = Field(
        default_factory=list, description="Response headers that pages may read."
    )
    max_age: int = Field(
        0, ge=0, unit="s", description="How long a browser may remember the answer; 0 its default."
    )


Coding = Literal["", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed"]


class HttpServer(Server):
    """An HTTP server."""

    max_request_body_size: ByteSize = Field(
        20 * MIB, ge=0, description="Largest body, before and after decompression; 0 is 20MiB."
    )
    compression_algorithms: list[Coding] | None = Field(
        None, description="Content codings that are taken, '' for none; all when not given."
    )
    read_timeout: Duration = Field(
        "0s", ge=0, description="For a whole body; 0 is 30s and more while it keeps coming."
    )
    read_header_timeout: Duration = Field("1m", ge=0, description="For a request's headers.")
    write_timeout: Duration = Field("30s", ge=0, description="For a client to take its answer.")
    idle_timeout: Duration = Field(
        "1m", ge=0, description="Close a connection without requests after so long; 0 never."
    )
    keep_alives_enabled: bool = Field(True, description="Several requests over a connection.")
    cors: Cors | None = Field(None, description="Requests from web pages.")
    response_headers: Headers = Field(
        default_factory=dict, description="Headers put on every answer."
    )

    def settings(self) -> dict[str, Any]:
        never = 365 * 86400.0
        headers = [
            (name, value.get_secret_value()) for name, value in self.response_headers.items()
        ]
        has_cors = self.cors and self.cors.allowed_origins
        return super().settings() | {
            "grpc": False,
            "max_bytes": self.max_request_body_size or 20 * MIB,
            "codings": self.compression_algorithms,
            "body_timeout": self.read_timeout or BODY_PATIENCE,
            "header_timeout": self.read_header_timeout or never,
            "write_timeout": self.write_timeout or never,
            "max_idle": self.idle_timeout or None,
            "keep_alives": self.keep_alives_enabled,
            "cors": self.cors.model_dump() if self.cors and has_cors else None,
            "response_headers": headers,
        }
