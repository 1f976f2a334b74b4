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
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from passlib.apache import (  # type: ignore[attr-defined]  # the stubs lack the context
    HtpasswdFile,
    htpasswd_context,
)

from heliograph.errors import ConfigError, Problem, Reject, Retry
from heliograph.extensions._watched import WatchedFile
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.fields import Field, Secret
from heliograph.pipeline.redaction import redact

UNAUTHENTICATED = 16
REMEMBERED = 10_000
BCRYPT_LIMIT = 72
"""Bytes of a password that count for bcrypt, in every implementation."""


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
        self._users = _Users(config.htpasswd, settings.log) if config.htpasswd else None
        self._client = _Client(config.client_auth, settings.log) if config.client_auth else None

    async def start(self) -> None:
        try:
            if self._users:
                self._users.load()
            if self._client:
                self._client.header()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not in htpasswd's form"
            name = getattr(error, "filename", None)
            raise ConfigError([Problem("", f"{name or 'htpasswd'}: {reason}")]) from None
        except Retry as error:
            raise ConfigError([Problem("", error.reason)]) from None

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

    def __init__(self, config: Htpasswd, log: logging.Logger) -> None:
        self._inline = config.inline.get_secret_value() if config.inline else ""
        self._file = WatchedFile(config.file, log) if config.file else None
        self._log = log
        self._key = os.urandom(32)
        self._right: set[bytes] = set()
        self._text: str | None = None
        self._hashes: dict[str, str] = {}

    def load(self) -> dict[str, str]:
        """Return the hash of each user. Raises: OSError or ValueError, the first time only."""
        text = self._file.text() if self._file else ""
        if text != self._text:
            try:
                self._hashes = _parsed(f"{text}\n{self._inline}")
            except ValueError:
                if self._text is None:
                    raise
                name = self._file.path if self._file else "htpasswd"
                self._log.warning("%s is not in htpasswd's form; the old users stay", name)
            else:
                self._right.clear()
            self._text = text
        return self._hashes

    async def check(self, user: str, password: str) -> bool:
        hashes = self.load()
        seen = self._digest(f"{user}\0{password}")
        if seen in self._right:
            return True
        stored = hashes.get(user)
        # As slow as for one of those who exist, so that time does not tell who does.
        compared = self._stand_in(hashes, user) if stored is None else stored
        right = await asyncio.to_thread(verify, compared, password)
        if stored is None or not right:
            return False
        if len(self._right) >= REMEMBERED:
            self._right.clear()
        if hashes is self._hashes:
            self._right.add(seen)
        return True

    def _stand_in(self, hashes: Mapping[str, str], user: str) -> str:
        """Return the hash of somebody else, always the same for the same name."""
        number = int.from_bytes(self._digest(user)[:8])
        return list(hashes.values())[number % len(hashes)] if hashes else "x"

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), hashlib.sha256)


def _parsed(text: str) -> dict[str, str]:
    """Return the hashes of an htpasswd file; later lines win. Raises: ValueError."""
    entries = {line.partition(":")[0]: line for line in text.splitlines()}
    users = HtpasswdFile.from_string("\n".join(entries.values()), encoding="utf-8")
    found = {str(user): users.get_hash(str(user)) for user in users.users()}
    return {user: stored.decode() for user, stored in found.items() if stored is not None}


def verify(stored: str, password: str) -> bool:
    """Whether a password fits a hash; plain text is compared in constant time."""
    given = password.encode()
    if htpasswd_context.identify(stored) == "bcrypt":
        given = given[:BCRYPT_LIMIT]
    try:
        return bool(htpasswd_context.verify(given, stored))
    except ValueError:  # a NUL, or thousands of characters
        return False


class _Client:
    """Makes the header from fixed values or files."""

    def __init__(self, config: ClientAuth, log: logging.Logger) -> None:
        self._username = config.username
        self._password = config.password.get_secret_value() if config.password else ""
        user, word = config.username_file, config.password_file
        self._username_file = WatchedFile(user, log, secret=False) if user else None
        self._password_file = WatchedFile(word, log) if word else None
        self._header = ""

    def header(self) -> str:
        """Return it as the files say now. Raises: Retry while one of them is empty."""
        user = _content(self._username_file) if self._username_file else self._username
        password = _content(self._password_file) if self._password_file else self._password
        header = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        if header != self._header:
            redact.hide(header.removeprefix("Basic "))
            self._header = header
        return header


def _content(file: WatchedFile) -> str:
    text = file.text().strip()
    if not text:
        raise Retry(f"{file.path}: is empty")
    return text


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
