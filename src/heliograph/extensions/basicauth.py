"""Authenticate with a user name and a password: check them on receivers, send them from exporters.

YAML: ``extensions: basicauth``; named under ``auth: {authenticator: basicauth}``. Fields: `Config`.
``htpasswd`` makes it check (bcrypt, SHA-1, Apache MD5 or plain entries), ``client_auth`` makes it
send. Files are read again when they change. The claim of a sender is ``username``; the password
goes no further than here.
Source: the Collector's basicauthextension.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from passlib.apache import (  # type: ignore[attr-defined]  # the stubs lack the context
    HtpasswdFile,
    htpasswd_context,
)

from heliograph.errors import ConfigError, Problem, Reject
from heliograph.extensions._watched import WatchedFile
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.fields import Field, Secret

UNAUTHENTICATED = 16
REMEMBERED = 10_000


class Htpasswd(ComponentConfig):
    """Who may come in."""

    file: Path | None = Field(None, description="File of user:hash lines, as htpasswd writes it.")
    inline: Secret | None = Field(None, description="The same lines in place; they win over file.")


class ClientAuth(ComponentConfig):
    """Who we are."""

    username: str = Field("", description="User name.")
    password: Secret | None = Field(None, description="Password.")
    username_file: Path | None = Field(None, description="File with the user name; wins.")
    password_file: Path | None = Field(None, description="File with the password; wins.")


class Config(ComponentConfig):
    htpasswd: Htpasswd | None = Field(None, description="Check what senders present.")
    client_auth: ClientAuth | None = Field(None, description="Present this to backends.")

    def check(self) -> Iterator[Problem]:
        if (self.htpasswd is None) == (self.client_auth is None):
            found = "both" if self.htpasswd else "neither"
            yield Problem("", f"needs one of htpasswd and client_auth, has {found}")
        if self.htpasswd and not (self.htpasswd.file or self.htpasswd.inline):
            yield Problem("htpasswd", "names no users", fix="give file or inline")
        client = self.client_auth
        if client and not (client.username or client.username_file):
            yield Problem("client_auth.username", "is missing")
        if client and not (client.password or client.password_file):
            yield Problem("client_auth.password", "is missing")


class Extension:
    """An `Authenticator` for one of the two directions."""

    signals: ClassVar[frozenset[Signal]] = frozenset()

    def __init__(self, config: Config, settings: Settings) -> None:
        self._id = settings.id
        self._users = _Users(config.htpasswd) if config.htpasswd else None
        self._client = _Client(config.client_auth) if config.client_auth else None

    async def start(self) -> None:
        try:
            if self._users:
                self._users.load()
            if self._client:
                self._client.header()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not in htpasswd's form"
            name = getattr(error, "filename", None)
            raise ConfigError(
                [Problem(f"extensions.{self._id}", f"{name or 'htpasswd'}: {reason}")]
            ) from None

    async def authenticate(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        if self._users is None:
            raise Reject("this authenticator only sends credentials", UNAUTHENTICATED)
        user, password = _credentials(headers.get("authorization", ""))
        if not await self._users.check(user, password):
            raise Reject("the user name or the password is wrong", UNAUTHENTICATED)
        return {"username": user}

    def headers(self) -> Mapping[str, str]:
        if self._client is None:
            return {}
        return {"authorization": self._client.header()}

    async def stop(self) -> None:
        """Nothing is held."""


class _Users:
    """Checks passwords on a thread, for bcrypt takes its time, and remembers who was right."""

    def __init__(self, config: Htpasswd) -> None:
        self._inline = config.inline.get_secret_value() if config.inline else ""
        self._file = WatchedFile(config.file) if config.file else None
        self._key = os.urandom(32)
        self._right: set[bytes] = set()
        self._text: str | None = None
        self._users = HtpasswdFile()

    def load(self) -> HtpasswdFile:
        text = self._file.text() if self._file else ""
        if text != self._text:
            lines = f"{text}\n{self._inline}".splitlines()
            entries = {line.partition(":")[0]: line for line in lines}
            users = HtpasswdFile.from_string("\n".join(entries.values()), encoding="utf-8")
            self._users, self._text = users, text
            self._right.clear()
        return self._users

    async def check(self, user: str, password: str) -> bool:
        users = self.load()
        seen = hmac.digest(self._key, f"{user}\0{password}".encode(), hashlib.sha256)
        if seen in self._right:
            return True
        if not await asyncio.to_thread(_verify, users, user, password):
            return False
        if len(self._right) >= REMEMBERED:
            self._right.clear()
        if users is self._users:
            self._right.add(seen)
        return True


def _verify(users: HtpasswdFile, user: str, password: str) -> bool:
    try:
        right = users.check_password(user, password)
    except ValueError:
        # What no entry can be: longer than its hash takes, or with a zero in it.
        right = None
    if right is None:
        # As slow as for a user who exists, so that time does not tell who does.
        htpasswd_context.dummy_verify()
    return bool(right)


class _Client:
    """Makes the header from fixed values or files."""

    def __init__(self, config: ClientAuth) -> None:
        self._username = config.username
        self._password = config.password.get_secret_value() if config.password else ""
        self._username_file = WatchedFile(config.username_file) if config.username_file else None
        self._password_file = WatchedFile(config.password_file) if config.password_file else None

    def header(self) -> str:
        user = self._username_file.text().strip() if self._username_file else self._username
        password = self._password_file.text().strip() if self._password_file else self._password
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise Reject("Basic authentication is required", UNAUTHENTICATED)
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        raise Reject("the credentials are not in Basic's form", UNAUTHENTICATED) from None
    user, colon, password = text.partition(":")
    if not colon:
        raise Reject("the credentials are not in Basic's form", UNAUTHENTICATED)
    return user, password
