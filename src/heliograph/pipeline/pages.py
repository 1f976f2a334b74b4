"""The page server with what ``confighttp`` can say: TLS, authentication, CORS, headers, limits."""

from __future__ import annotations

import fnmatch
import logging
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from heliograph.errors import ConfigError, Problem, Reject
from heliograph.pipeline.component import Authenticator, ComponentId, Settings
from heliograph.pipeline.fields import Secret
from heliograph.pipeline.http import Handler, Limits, Request, Response, Server
from heliograph.pipeline.listeners import Listening
from heliograph.pipeline.net import HttpServer, TlsServer, parse_endpoint

_NEVER = 365 * 86400.0
_VERSIONS = {2: ssl.TLSVersion.TLSv1_2, 3: ssl.TLSVersion.TLSv1_3}
_RELOAD = 10.0
"""Seconds between two looks at ``client_ca_file`` where only its reload is asked for."""


class Pages:
    """Pages of one component."""

    def __init__(self, config: HttpServer, settings: Settings, handler: Handler) -> None:
        self._config = config
        self._settings = settings
        self._handler = handler
        self._authenticator: Authenticator | None = None
        self._certificates: Certificates | None = None
        self._headers = {
            name: value.get_secret_value() for name, value in config.response_headers.items()
        }
        limits = Limits(
            head=config.read_header_timeout or _NEVER,
            idle=config.idle_timeout or _NEVER,
            write=config.write_timeout or _NEVER,
            keep_alive=config.keep_alives_enabled,
        )
        self._server = Server(self._answer, settings.log, limits)
        self._listening: Listening | None = None

    @property
    def port(self) -> int:
        """Where they are; only after `start`, and not on a Unix socket."""
        return self._server.port

    async def start(self) -> None:
        """Listen. Raises: ConfigError."""
        config = self._config
        if config.auth is not None:
            self._authenticator = self._extension(config.auth.authenticator)
        if config.tls is not None:
            self._certificates = Certificates(config.tls, self._settings.clock.monotonic())
        context = None if self._certificates is None else self._certificates.context
        settings = self._settings
        wanted = Listening(
            f"{settings.kind.value}.{settings.id}",
            str(settings.id),
            config.endpoint,
            config.transport,
            self._server.copies,
        )
        try:
            if given := settings.listeners.find(wanted):
                await self._server.start_on(given, context)
            elif config.transport == "unix":
                await self._server.start_unix(Path(config.endpoint), context)
            else:
                address = parse_endpoint(config.endpoint)
                await self._server.start(address.host or None, address.port, context)
        except OSError as error:
            raise config.bind_problem(error) from error
        settings.listeners.add(wanted)
        self._listening = wanted

    async def stop(self) -> None:
        """Close."""
        if self._listening is not None:
            self._settings.listeners.remove(self._listening)
            self._listening = None
        await self._server.stop()

    def _extension(self, name: str) -> Authenticator:
        type, _, rest = name.partition("/")
        extension = self._settings.extensions.get(ComponentId(type, rest))
        if not hasattr(extension, "authenticate"):
            message = f"'{name}' is no authenticator in service.extensions"
            raise ConfigError([Problem("auth.authenticator", message)])
        return cast(Authenticator, extension)

    async def _answer(self, request: Request) -> Response:
        if self._certificates is not None:
            self._certificates.refresh(self._settings.clock.monotonic(), self._settings.log)
        try:
            if self._authenticator is not None:
                await self._authenticator.authenticate(request.headers)
            response = await self._handler(request)
        except Reject as error:
            response = Response(401, f"{error.reason}\n".encode())
        extra = {**self._headers, **self._cors(request.headers.get("origin", ""))}
        return replace(response, headers={**response.headers, **extra}) if extra else response

    def _cors(self, origin: str) -> Mapping[str, str]:
        cors = self._config.cors
        if not origin or cors is None or not cors.allowed_origins:
            return {}
        if not any(fnmatch.fnmatchcase(origin, pattern) for pattern in cors.allowed_origins):
            return {"Vary": "Origin"}
        found = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        if cors.exposed_headers:
            found["Access-Control-Expose-Headers"] = ", ".join(cors.exposed_headers)
        return found


class Certificates:
    """A TLS context whose files are read again from time to time."""

    def __init__(self, tls: TlsServer, now: float) -> None:
        """Read them. Raises: ConfigError."""
        self._tls = tls
        self._read = now
        self._every = tls.reload_interval or (_RELOAD if tls.client_ca_file_reload else None)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        lowest, highest = tls.versions()
        self.context.minimum_version = _VERSIONS[lowest]
        self.context.maximum_version = _VERSIONS[highest]
        try:
            if tls.cipher_suites:
                self.context.set_ciphers(":".join(map(openssl_name, tls.cipher_suites)))
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([Problem("tls", f"cannot be set up: {error}")]) from error

    def refresh(self, now: float, log: logging.Logger) -> None:
        """Read the files again if it is time; while they are broken, the old ones stay."""
        if self._every is None or now - self._read < self._every:
            return
        self._read = now
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            log.warning("new TLS files cannot be used, the old ones stay: %s", error)

    def _load(self) -> None:
        tls = self._tls
        with _file(tls.cert_file, tls.cert_pem) as cert, _file(tls.key_file, tls.key_pem) as key:
            if cert is not None:
                self.context.load_cert_chain(cert, key)
        if tls.client_ca_file is not None:
            self.context.load_verify_locations(tls.client_ca_file)
            self.context.verify_mode = ssl.CERT_REQUIRED


@contextmanager
def _file(path: Path | None, pem: Secret | None) -> Iterator[Path | None]:
    """Yield a file with the text in it: OpenSSL's loader in Python takes nothing else."""
    if path is not None or pem is None:
        yield path
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem.get_secret_value())
        file.flush()
        yield Path(file.name)


def openssl_name(suite: str) -> str:
    """Return OpenSSL's name of a TLS 1.2 cipher suite that IANA calls ``TLS_…_WITH_…``."""
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    cipher = cipher.replace("AES_128", "AES128").replace("AES_256", "AES256")
    cipher = cipher.removesuffix("_SHA256") if cipher.startswith("CHACHA20") else cipher
    return f"{exchange}-{cipher}".replace("_", "-")
