"""Authenticate with a token: check it on receivers, send it from exporters.

YAML: ``extensions: bearertokenauth``; named under ``auth: {authenticator: bearertokenauth}``.
Fields: `Config`. Tokens are compared in constant time. A token file is read again when it changes;
each line that is not empty is a token, the first is the one that exporters send. While it has none,
nobody comes in and nothing is sent.
Source: the Collector's bearertokenauthextension.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from heliograph.errors import ConfigError, Problem, Reject, Retry
from heliograph.extensions._watched import WatchedFile
from heliograph.otlp import Signal
from heliograph.pipeline.component import ComponentConfig, Settings
from heliograph.pipeline.fields import Field, Secret

UNAUTHENTICATED = 16


class Config(ComponentConfig):
    scheme: str = Field("Bearer", description="Word before the token; empty for the token alone.")
    header: str = Field("Authorization", min_length=1, description="Header that carries it.")
    token: Secret | None = Field(None, description="The token.")
    tokens: Sequence[Secret] = Field((), description="Tokens to accept; the first is sent.")
    filename: Path | None = Field(None, description="File of tokens, one a line.")

    def check(self) -> Iterator[Problem]:
        given = [name for name in ("token", "tokens", "filename") if getattr(self, name)]
        if not given:
            yield Problem("token", "is missing", fix="give token, tokens or filename")
        elif len(given) > 1:
            yield Problem(given[1], f"stands beside {given[0]}; only one of them counts")


class Extension:
    """An `Authenticator` for both directions."""

    signals: ClassVar[frozenset[Signal]] = frozenset()

    def __init__(self, config: Config, settings: Settings) -> None:
        self._id = settings.id
        self._header = config.header.lower()
        self._prefix = f"{config.scheme} " if config.scheme else ""
        self._fixed = [secret.get_secret_value() for secret in config.tokens]
        if config.token is not None:
            self._fixed = [config.token.get_secret_value()]
        self._file = WatchedFile(config.filename, settings.log) if config.filename else None

    async def start(self) -> None:
        try:
            tokens = self._tokens()
        except OSError as error:
            raise _problem("filename", f"cannot be read: {error.strerror}") from None
        if not tokens:
            raise _problem("filename", "has no token in it")
        for number, token in enumerate(tokens, 1):
            if not (token.isascii() and token.isprintable()):
                option = "filename" if self._file else "token"
                message = f"has characters in token {number} that a header cannot carry"
                raise _problem(option, message)

    async def authenticate(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        given = headers.get(self._header)
        if given is None:
            raise Reject(f"the {self._header} header is missing", UNAUTHENTICATED)
        # All are looked at, and as digests, so that time tells neither which was near nor how
        # long they are.
        shown, known = _digest(given), False
        for token in self._tokens():
            known |= hmac.compare_digest(shown, _digest(self._prefix + token))
        if not known:
            raise Reject("the token is not known here", UNAUTHENTICATED)
        return {}

    def headers(self) -> Mapping[str, str]:
        tokens = self._tokens()
        if not tokens:
            raise Retry(f"extensions.{self._id}: the file has no token in it")
        return {self._header: self._prefix + tokens[0]}

    async def stop(self) -> None:
        """Nothing is held."""

    def _tokens(self) -> Sequence[str]:
        if self._file is None:
            return self._fixed
        return [line.strip() for line in self._file.text().splitlines() if line.strip()]


def _problem(option: str, message: str) -> ConfigError:
    return ConfigError([Problem(option, message)])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
