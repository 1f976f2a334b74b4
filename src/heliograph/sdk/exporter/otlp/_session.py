"""A session of requests as the way to a backend: what it signs, adapts and trusts holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from heliograph._core import Batch
from heliograph.sdk.exporter.otlp._settings import Settings

RETRYABLE = {429, 502, 503, 504}


@dataclass(frozen=True)
class Answered:
    """What became of a request, as `heliograph._core.Outcome` says it."""

    ok: bool = False
    retryable: bool = False
    code: int = 0
    status: int = 0
    message: str = ""
    retry_after: float | None = None
    rejected: int = 0
    json: bytes = b""


class SessionClient:
    """Posts batches over a session that the program made, one after the other.

    Headers that say what is sent are set on the session itself, as the official exporter does.
    """

    def __init__(self, session: Any, settings: Settings) -> None:
        native = settings.native
        tls = native["tls"] or {}
        self._session = session
        self._url = settings.where
        self._is_json = bool(native["json"])
        self._pack = _pack(native["compression"])
        self._trust = {
            "verify": tls.get("ca_file") or True,
            "cert": tls.get("cert_file") and (tls["cert_file"], tls["key_file"]),
        }
        session.headers.update(
            dict(native["headers"])
            | {
                "Content-Type": "application/json" if self._is_json else "application/x-protobuf",
                "User-Agent": native["user_agent"],
            }
        )
        if native["compression"]:
            session.headers["Content-Encoding"] = native["compression"]

    def send(self, batch: Batch, timeout: float, target: Callable[[Answered], None]) -> Done:
        """Post a batch, and tell ``target`` what became of it before this returns."""
        body = self._pack(batch.json() if self._is_json else bytes(batch.wire()))
        try:
            answer = self._session.post(
                url=self._url, data=body, timeout=timeout or None, **self._trust
            )
        except Exception as error:
            target(Answered(retryable=True, message=f"{type(error).__name__}: {error}"))
            return Done()
        target(
            Answered(
                ok=answer.ok,
                retryable=answer.status_code in RETRYABLE,
                status=answer.status_code,
                message="" if answer.ok else answer.text[:1000],
                retry_after=_seconds(answer.headers.get("Retry-After")),
                json=answer.content if self._is_json and answer.ok else b"",
            )
        )
        return Done()


class Done:
    """A call that is over."""

    def cancel(self) -> None:
        """There is nothing on its way."""


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


def _pack(coding: str) -> Callable[[bytes], bytes]:
    """Return what compresses a body.

    Raises: ValueError for a coding that Python's own library does not have.
    """
    if not coding:
        return bytes
    if coding == "gzip":
        from gzip import compress  # noqa: PLC0415 - seldom

        return compress
    if coding == "deflate":
        from zlib import compress as deflate  # noqa: PLC0415 - seldom

        return deflate
    raise ValueError(f"a session of requests cannot compress with {coding}")
