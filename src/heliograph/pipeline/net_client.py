"""Configuration of network clients: what exporters and whoever else connects take.

Fields and defaults as in the Collector's configtls, configgrpc and confighttp. Buffers size
themselves here, so ``read_buffer_size`` and ``write_buffer_size`` are taken and change nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from heliograph.errors import Problem
from heliograph.pipeline.component import ComponentConfig
from heliograph.pipeline.fields import ByteSize, Duration, Field, Headers, Secret
from heliograph.pipeline.net import Auth, TlsConfig

LOOK_UP_INTERVAL = 30.0
"""Seconds between two look-ups of a name; a lost connection looks it up at once."""

SHORTEST_PING = 10.0
"""Servers end connections that ping more often, so clients keep to it."""

_IDLE_CONNECTIONS = 100


class Tpm(ComponentConfig):
    """``tls.tpm``: a key in a TPM, which is not supported."""

    enabled: bool = Field(False, description="Use a key in a TPM; not supported.")
    path: str = Field("", description="Path of the TPM.")
    auth: Secret | None = Field(None, description="Authorization value of the key.")
    owner_auth: Secret | None = Field(None, description="Authorization value of the owner.")

    def check(self) -> Iterator[Problem]:
        if self.enabled:
            yield Problem("enabled", "is not supported: keys are read from PEM")


class ClientTls(TlsConfig):
    """``tls`` of a client: on unless ``insecure`` or the endpoint's scheme says otherwise."""

    insecure: bool = Field(False, description="Send without TLS.")
    insecure_skip_verify: bool = Field(
        False, description="Accept any certificate; for tests, as anybody may be on the other end."
    )
    server_name_override: str = Field(
        "", description="Name that the server's certificate must carry, instead of the endpoint's."
    )
    curve_preferences: list[Literal["X25519", "P256", "P384"]] = Field(
        default_factory=list, description="Key exchange groups, the preferred one first."
    )
    tpm: Tpm = Field(Tpm(), description="Not supported.")

    @property
    def is_off(self) -> bool:
        """Whether nothing here asks for TLS; naming an authority does."""
        return self.insecure and not (self.ca_file or self.ca_pem)

    def native(self) -> dict[str, Any]:
        """Return what the core takes, each option by its name."""
        options = self.model_dump(exclude={"tpm", "insecure"})
        for name in ("ca_pem", "cert_pem", "key_pem"):
            options[name] = options[name] and options[name].get_secret_value()
        options["server_name_override"] = self.server_name_override or None
        options["reload_interval"] = self.reload_interval or 0.0
        return options


class KeepAlive(ComponentConfig):
    """``keepalive`` of a gRPC client."""

    time: Duration = Field(
        "10s", ge=0, description="Silence before a ping; at least 10s, or servers hang up."
    )
    timeout: Duration = Field("10s", gt=0, description="Wait for its answer.")
    permit_without_stream: bool = Field(False, description="Ping though nothing is in flight.")


class _Client(ComponentConfig):
    """What both clients take."""

    tls: ClientTls = Field(ClientTls(), description="TLS.")
    headers: Headers = Field({}, description="Sent with every request.")
    auth: Auth | None = Field(None, description="Extension that adds credentials.")
    read_buffer_size: ByteSize = Field(0, ge=0, description="Taken; buffers size themselves.")
    write_buffer_size: ByteSize = Field(
        512 * 1024, ge=0, description="Taken; buffers size themselves."
    )
    middlewares: list[Any] = Field([], description="Not supported.")

    def check(self) -> Iterator[Problem]:
        yield from super().check()
        if self.middlewares:
            yield Problem("middlewares", "is not supported yet", fix="remove it")


class GrpcClientConfig(_Client):
    """A gRPC client, as the Collector's configgrpc describes it."""

    endpoint: str = Field(
        description="host:port, or with a scheme: http (no TLS), https, dns:///, "
        "passthrough:///, unix:///path."
    )
    compression: Literal["gzip", "zstd", "snappy", "none", ""] = Field(
        "gzip", description="Compression of requests; zstd is cheaper than gzip and packs tighter."
    )
    keepalive: KeepAlive = Field(KeepAlive(), description="Pings on silent connections.")
    wait_for_ready: bool = Field(
        False, description="Wait for a connection until timeout, instead of failing at once."
    )
    authority: str = Field("", description="What :authority says instead of the endpoint.")
    balancer_name: Literal["round_robin", "pick_first"] = Field(
        "round_robin", description="All addresses behind a name in turn, or the first that answers."
    )
    user_agent: str = Field("", description="Instead of heliograph/VERSION.")

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        scheme = self.endpoint.partition("://")[0]
        return scheme == "https" or (scheme != "http" and not self.tls.is_off)

    def native(self) -> dict[str, Any]:
        """Return what the core's GrpcClient takes."""
        keep = self.keepalive
        ping = (max(keep.time, SHORTEST_PING), keep.timeout, keep.permit_without_stream)
        return _common(self, secure=self.is_secure) | {
            "endpoint": self.endpoint,
            "authority": self.authority or None,
            "balancer_name": self.balancer_name,
            "wait_for_ready": self.wait_for_ready,
            "keepalive": ping if keep.time else None,
            "look_up_interval": LOOK_UP_INTERVAL,
            "user_agent": self.user_agent or user_agent(),
        }


class CompressionParams(ComponentConfig):
    """``compression_params``."""

    level: int = Field(0, ge=-2, le=22, description="The compression's own level; 0 for its usual.")


class Cookies(ComponentConfig):
    """``cookies``."""

    enabled: bool = Field(False, description="Send back the cookies of responses; not supported.")

    def check(self) -> Iterator[Problem]:
        if self.enabled:
            yield Problem("enabled", "is not supported yet", fix="remove it")


class HttpClientConfig(_Client):
    """An HTTP client, as the Collector's confighttp describes it."""

    endpoint: str = Field("", description="URL, such as http://host:4318.")
    proxy_url: str = Field(
        "", description="Proxy for everything; HTTP_PROXY, HTTPS_PROXY and NO_PROXY when empty."
    )
    compression: Literal[
        "gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4", "none", ""
    ] = Field("gzip", description="Compression of requests.")
    compression_params: CompressionParams = Field(
        CompressionParams(), description="Level of the compression."
    )
    max_idle_conns: int = Field(
        _IDLE_CONNECTIONS, ge=0, description="Idle connections kept; 0 for any number."
    )
    max_idle_conns_per_host: int = Field(
        0, ge=0, description="The same for each host; 0 for max_idle_conns."
    )
    max_conns_per_host: int = Field(0, ge=0, description="Requests at a time; 0 for any number.")
    idle_conn_timeout: Duration = Field(
        "90s", ge=0, description="Close connections idle for so long; 0 for never."
    )
    disable_keep_alives: bool = Field(False, description="A new connection for every request.")
    force_attempt_http2: bool = Field(True, description="Offer HTTP/2 under TLS.")
    http2_read_idle_timeout: Duration = Field(
        "0s", ge=0, description="Silence on HTTP/2 before a ping; 0 for none."
    )
    http2_ping_timeout: Duration = Field("15s", gt=0, description="Wait for its answer.")
    cookies: Cookies = Field(Cookies(), description="Cookies.")

    def native(self, *urls: str) -> dict[str, Any]:
        """Return what the core's HttpClient takes; ``urls`` are what it will send to."""
        level = self.compression_params.level
        ping = (self.http2_read_idle_timeout, self.http2_ping_timeout)
        secure = any(url.startswith("https:") for url in urls)
        signed = [("authorization", found) for url in urls if (found := _credentials(url))]
        common = _common(self, secure=secure)
        return common | {
            "headers": [*signed[:1], *common["headers"]],
            "proxy_url": self.proxy_url or None,
            "level": level if level > 0 else None,
            "urls": (None, None, None, None),
            "json": False,
            "http2": self.force_attempt_http2,
            "max_conns_per_host": self.max_conns_per_host or None,
            "max_idle_conns_per_host": self.max_idle_conns_per_host or self.max_idle_conns or None,
            "idle_conn_timeout": self.idle_conn_timeout,
            "keep_alives": not self.disable_keep_alives,
            "ping": ping if self.http2_read_idle_timeout else None,
        }


@cache
def user_agent() -> str:
    """What our requests say of themselves."""
    return f"heliograph/{version('heliograph')}"


@cache
def bare(url: str) -> str:
    """Return the URL without user and password, which go into a header and into no message."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _credentials(url: str) -> str | None:
    """Return the header that says what the URL says before its ``@``."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _common(config: GrpcClientConfig | HttpClientConfig, *, secure: bool) -> dict[str, Any]:
    return {
        "tls": config.tls.native() if secure else None,
        "compression": "" if config.compression == "none" else config.compression,
        "level": None,
        "headers": [(name, value.get_secret_value()) for name, value in config.headers.items()],
        "user_agent": user_agent(),
        "proxy_url": None,
    }
