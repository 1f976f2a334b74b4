"""The page server with what ``confighttp`` can say: TLS, authentication, CORS, headers, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from heliograph.errors import ConfigError, Problem, Reject
from heliograph.pipeline.certificates import Certificates
from heliograph.pipeline.component import Authenticator, ComponentId, Settings
from heliograph.pipeline.http import Handler, Limits, Request, Response, Server
from heliograph.pipeline.listeners import Listening
from heliograph.pipeline.net import HttpServer, parse_endpoint

_NEVER = 365 * 86400.0


class Pages:
    """Pages of one component."""

    def __init__(self, config: HttpServer, settings: Settings, handler: Handler) -> None:
        self._config = config
        self._settings = settings
        self._handler = handler
        self._authenticator: Authenticator | None = None
        self._renewal: asyncio.Task[None] | None = None
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
        certificates = None if config.tls is None else Certificates(config.tls)
        context = None if certificates is None else certificates.context
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
        if certificates is not None and certificates.every is not None:
            self._renewal = asyncio.create_task(self._renew(certificates, certificates.every))

    async def stop(self) -> None:
        """Close."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
            self._renewal = None
        if self._listening is not None:
            self._settings.listeners.remove(self._listening)
            self._listening = None
        await self._server.stop()

    async def _renew(self, certificates: Certificates, every: float) -> None:
        """Look at the files from time to time; new connections get what is new."""
        while True:
            await self._settings.clock.sleep(every)
            context = await asyncio.to_thread(certificates.renewed, self._settings.log)
            if context is not None:
                await self._server.renew(context)

    def _extension(self, name: str) -> Authenticator:
        type, _, rest = name.partition("/")
        extension = self._settings.extensions.get(ComponentId(type, rest))
        if not hasattr(extension, "authenticate"):
            message = f"'{name}' is no authenticator in service.extensions"
            raise ConfigError([Problem("auth.authenticator", message)])
        return cast(Authenticator, extension)

    async def _answer(self, request: Request) -> Response:
        refusal = await self._refusal(request)
        response = refusal or await self._handler(request)
        extra = {**self._headers, **self._cors(request.headers.get("origin", ""))}
        return replace(response, headers={**response.headers, **extra}) if extra else response

    async def _refusal(self, request: Request) -> Response | None:
        """Return the answer to those who may not come in, None for all others."""
        if self._authenticator is None:
            return None
        try:
            await self._authenticator.authenticate(request.headers)
        except Reject as error:
            return Response(401, f"{error.reason}\n".encode())
        except Exception as error:
            # Not its text, in which there may be what the sender presented.
            self._settings.log.warning("the authenticator failed: %s", type(error).__name__)
            return Response(503, b"the authenticator failed\n")
        return None

    def _cors(self, origin: str) -> Mapping[str, str]:
        cors = self._config.cors
        if not origin or cors is None or not cors.allowed_origins:
            return {}
        if not any(_matches(pattern, origin) for pattern in cors.allowed_origins):
            return {"Vary": "Origin"}
        found = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        if cors.exposed_headers:
            found["Access-Control-Expose-Headers"] = ", ".join(cors.exposed_headers)
        return found


def _matches(pattern: str, origin: str) -> bool:
    """Whether a pattern with at most one ``*`` allows an origin."""
    start, star, end = pattern.partition("*")
    if not star:
        return origin == pattern
    fits = origin.startswith(start) and origin.endswith(end)
    return fits and len(origin) >= len(start) + len(end)
